"""Linear probe (as in CLIP, Radford et al., ICML 2021, arXiv:2103.00020): the lower bound.

The frozen image tower's features are averaged over frames; only a linear classifier is tuned.
"""
