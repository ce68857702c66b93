"""List the jobs of each rule with an estimate of time, disk and downloads."""

import argparse

from vidtune.cli.inputs import add_plan, print_result, read_plan
from vidtune.workflow import estimate, format_estimate


def arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(parser, json=True)


def run(args: argparse.Namespace) -> int:
    plan = read_plan(args)
    print_result(args, estimate(plan), format_estimate(plan))
    return 0
