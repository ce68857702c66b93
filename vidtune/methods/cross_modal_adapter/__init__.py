"""Cross-Modal Adapter (Jiang et al., Pattern Recognition 2025, arXiv:2211.09623).

Bottleneck adapters in both frozen towers; part of each pair's way up is one layer for both.
Checked against github.com/LeapLabTHU/Cross-Modal-Adapter at 07b2203.
"""
