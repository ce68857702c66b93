"""A training in double precision, where rounding cannot be seen: helpers.in_double SPEC OUT PARTS ..."""

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from vidtune.cli.inputs import read_spec
from vidtune.engine import ranks
from vidtune.engine.train import train
from vidtune.spec import Run


def main(words: Sequence[str]) -> None:
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    Tensor.float = Tensor.double  # of pixels and of weights as they are read
    spec, out, *splits = words
    for parts in splits:
        train(read_spec(Run, Path(spec)), Path(out) / parts / "model.pt", parts=int(parts))
    ranks.end()


if __name__ == "__main__":
    main(sys.argv[1:])
