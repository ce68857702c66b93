"""CLIP4Clip (Luo et al., Neurocomputing 2022, arXiv:2104.08860): "meanP" and "seqTransf".

Frames are encoded separately and averaged, which has no parameters, or pass a transformer before
they are averaged; the blocks of both towers are fully tuned.
Checked against github.com/ArrowLuo/CLIP4Clip at 508ffa3.
"""
