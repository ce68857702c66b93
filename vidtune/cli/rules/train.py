"""Train one run, with several processes if asked for.

By hand, from the spec file that Snakemake wrote (`snakemake -n` writes it too):
  python -m vidtune train --spec results/smoke/specs/runs/side4video/b16-ssv1@0.json --out /tmp/x/model.pt
Beside the checkpoint it writes train.json, and best.pt where the recipe selects. The run's weights and
videos must exist; the spec names both (`weights`, `data`). --ranks starts that many processes, each on
a GPU of its own; torchrun starts them as well, on several machines too. How a batch is split changes no
result but for rounding.
"""

import argparse
from pathlib import Path

from vidtune.cli.inputs import as_path, count, read_spec
from vidtune.cli.launch import add_ranks, run_on_ranks, starts_ranks
from vidtune.spec import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", type=as_path, required=True, help="the job's spec file")
    parser.add_argument("--out", type=as_path, required=True, help="checkpoint file to write")
    parser.add_argument(
        "--parts", type=count, default=1, help="in which a process computes its clips of a batch"
    )
    parser.add_argument(
        "--recompute",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="keep less for backward, which computes blocks again: less memory, more time",
    )
    add_ranks(parser)


def run(args: argparse.Namespace) -> int | None:
    if starts_ranks(args):
        return run_on_ranks(args)
    from vidtune.data.batches import Batches
    from vidtune.datasets.node_copy import staged
    from vidtune.engine import ranks
    from vidtune.engine.train import train

    train(
        read_spec(Run, Path(args.spec)), Path(args.out), staged(Batches), args.parts, args.recompute
    )
    return ranks.end()
