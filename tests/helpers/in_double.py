"""vidtune in double precision, where rounding cannot be seen: python -m helpers.in_double VERB ..."""

import sys

import torch
from torch import Tensor

from vidtune.cli.main import main

if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    Tensor.float = Tensor.double  # of pixels and of weights as they are read
    sys.exit(main())
