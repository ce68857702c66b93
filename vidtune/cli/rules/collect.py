"""Collect all numbers, ours and theirs, into rows.csv."""

import argparse

from vidtune.cli.inputs import add_plan, read_plan
from vidtune.spec import write_text

arguments = add_plan


def run(args: argparse.Namespace) -> int:
    from vidtune.report.numbers import results, rows

    plan = read_plan(args)
    write_text(plan.root / "rows.csv", rows.to_csv(results.gather(plan)))
    return 0
