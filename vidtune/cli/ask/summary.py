"""Say in five lines what a scale's results found, as at the end of the pipeline."""

import argparse

from vidtune.cli.inputs import add_plan, read_plan
from vidtune.plan.chosen import run_all
from vidtune.report import summary
from vidtune.spec import UserError

arguments = add_plan


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    found = summary.read(plan)
    if not found:
        raise UserError(f"{plan.root}: no results yet; run `{run_all(plan.config)}`")
    print("\n".join(found))
