"""TempMe (Shen et al., ICLR 2025, arXiv:2409.01156).

Redundant tokens are merged inside frames, then neighbouring frames are joined into ever longer
clips and merged again, so that attention becomes temporal while the tokens become few.
Checked against github.com/LunarShen/TempMe at e624930.
"""
