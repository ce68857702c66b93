"""Side4Video (Yao et al., 2023, arXiv:2311.15769).

A frozen image model feeds a slim spatio-temporal side network, block by block; as no gradient
passes through the frozen trunk, training needs little memory.
Checked against github.com/HJYao00/Side4Video at 5d72352.
"""
