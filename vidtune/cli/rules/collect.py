"""Collect all numbers, ours and theirs, into rows.csv."""

import argparse

from vidtune.cli.inputs import add_plan, read_plan
from vidtune.report.numbers import results, rows
from vidtune.spec import write_text

arguments = add_plan


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
