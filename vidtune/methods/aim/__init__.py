"""AIM (Yang et al., ICLR 2023, arXiv:2302.03024).

The frozen attention of an image trunk is used twice, over time and over space; adapters after
both, and beside the MLP, turn the trunk into a video model.
Checked against github.com/taoyang1122/adapt-image-models at b3580d2.
"""
