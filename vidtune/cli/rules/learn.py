"""Train and evaluate runs that differ in their seed alone, in one process.

By hand, from spec files that Snakemake wrote (`snakemake -n` writes them too):
  python -m vidtune learn --spec results/mini/specs/runs/side4video/b16-ssv2@*.json --out /tmp/x
Writes <out>/<paper>/<variant>@<seed>/{model.pt,train.json,eval.json} of each run. What is there
already, of the same spec and code, is not made again: delete its folder to repeat it.
"""

import argparse
from pathlib import Path

from vidtune.cli.inputs import as_path, read_spec
from vidtune.spec import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--spec", type=as_path, required=True, nargs="+", help="the runs' spec files"
    )
    parser.add_argument("--out", type=as_path, required=True, help="folder of runs to write to")


def run(args: argparse.Namespace) -> None:
    runs = [read_spec(Run, Path(spec)) for spec in args.spec]
    from vidtune.engine.learn import learn

    learn(runs, Path(args.out))
