"""List the jobs of each rule with an estimate of time, disk and downloads."""

import argparse

from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.workflow import estimate, format_estimate

arguments = add_plan_json


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    print_result(args, estimate(plan), format_estimate(plan))
