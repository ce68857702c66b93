"""LoRA (Hu et al., ICLR 2022, arXiv:2106.09685) on both towers: TempMe's baseline.

Frames are encoded separately and averaged; only low-rank updates of q, k and v are tuned.
Checked against github.com/LunarShen/TempMe at e624930, with nothing merged.
"""
