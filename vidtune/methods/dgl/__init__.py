"""DGL (Yang et al., AAAI 2024, arXiv:2401.10588): prompts of both towers from one latent space.

A video's global prompts attend to all frames, a frame to itself and to the global prompts; every
frame and every text also has local prompts, which each block replaces. Everything else is frozen.
Checked against github.com/knightyxp/DGL at 9139fd1.
"""
