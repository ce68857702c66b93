"""ToMe (Bolya et al., ICLR 2023, arXiv:2210.09461) on CLIP's frames: TempMe's baseline.

In every block the most similar tokens of a frame are merged; frames stay separate and are averaged.
Checked against github.com/facebookresearch/ToMe at af95e4b.
"""
