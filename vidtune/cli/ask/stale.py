"""List results whose code or spec has changed since, for `snakemake --cores all -R $(vidtune stale)`.

Their files alone are on stdout, one a line; what that means, and the command, is said on stderr.
"""

import argparse
import sys

from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.plan import Plan
from vidtune.plan.chosen import as_arguments, run_all
from vidtune.report.numbers.result_files import eval_path
from vidtune.report.numbers.results import gather

arguments = add_plan_json


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    rows = [r for r in gather(plan) if r.source == "ours" and r.digest]
    every = {row.where for row in rows}
    stale = sorted({row.where for row in rows if row.stale})
    if not every:
        said = f"{plan.root}: no results yet"
    elif stale:
        said = (
            f"{len(stale)} of {len(every)} results are of other code or specs than today's; make them "
            f"again: {run_all(plan.config)} -R $(vidtune stale{as_arguments(plan.config)})"
        )
    else:
        said = f"nothing is stale: all {len(every)} results are of today's code and specs"
    if args.json:
        result = {"scale": plan.scale.name, "results": len(every), "stale": stale}
        print_result(args, result, "")
        return
    print(f"vidtune stale: {said}", file=sys.stderr)
    for path in [*trained_for(plan, stale), *stale]:
        print(path)


def trained_for(plan: Plan, stale: list[str]) -> list[str]:
    """What says that the runs of stale tests are trained, where trainings are jobs of their own."""
    if plan.scale.together:
        return []
    runs = (run for run in plan.evaluation_of.values() if str(eval_path(plan, run)) in stale)
    return sorted({str(plan.root / "trained" / plan.training_of[run]) for run in runs})
