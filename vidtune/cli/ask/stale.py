"""List results whose code or spec has changed since, for `snakemake -R $(vidtune stale)`."""

import argparse

from vidtune.cli.inputs import add_plan, read_plan
from vidtune.report.numbers import results

arguments = add_plan


def run(args: argparse.Namespace) -> None:
    for path in sorted({row.where for row in results.gather(read_plan(args)) if row.stale}):
        print(path)
