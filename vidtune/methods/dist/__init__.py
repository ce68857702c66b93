"""DiST (Qing et al., ICCV 2023, arXiv:2309.07911).

A frozen image model reads every alpha-th frame; a thin temporal encoder beside it reads them all,
and a branch that no gradient leaves towards the image model joins the two.
Checked against github.com/alibaba-mmai-research/DiST at 4b3a09b.
"""
