"""Bottleneck adapters (Houlsby et al., ICML 2019, arXiv:1902.00751) in both towers of CLIP.

Only a small residual network after every frozen attention and every frozen MLP is tuned.
Checked against github.com/LeapLabTHU/Cross-Modal-Adapter at 07b2203 with nothing shared; unlike
that code's, these adapters start as the identity. Which adapter TempMe compares with is not
published.
"""
