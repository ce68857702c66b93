"""Train one run.

By hand, from the spec file that Snakemake wrote (`snakemake -n` writes it too):
  python -m vidtune train --spec results/smoke/specs/runs/side4video/b16-ssv1@0.json --out /tmp/x/model.pt
Beside the checkpoint it writes train.json. The run's weights and videos must exist; the spec names
both (`weights`, `data`).
"""

import argparse
from pathlib import Path

from vidtune.cli.inputs import add_job, read_spec
from vidtune.spec import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, "checkpoint file")


def run(args: argparse.Namespace) -> int:
    from vidtune.engine.train import train

    train(read_spec(Run, args), Path(args.out))
    return 0
