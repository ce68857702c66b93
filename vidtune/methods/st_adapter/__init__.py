"""ST-Adapter (Pan et al., NeurIPS 2022, arXiv:2206.13559).

Bottlenecks with a depth-wise convolution over space and time stand inside a frozen image trunk.
Checked against github.com/linziyi96/st-adapter at b914b38.
Modifications: a kernel over time alone runs as a 1-d convolution, which computes the same.
"""
