"""Keep the learned results of a scale under results/reference, to be committed.

Pages of other scales show them beside their own. Every run of the scale must have been evaluated. With
--expected, what is kept already gives the ranges of a healthy run: config/expected.yaml is written.
"""

import argparse

from vidtune.cli.inputs import add_plan, read_plan
from vidtune.report import expected, reference_runs
from vidtune.spec import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--machine", help='what it ran on, as in "2 cores of an AMD EPYC 7B13"')
    what.add_argument(
        "--again", action="store_true", help="judge the kept rows by today's claims and statistics"
    )
    what.add_argument(
        "--expected", action="store_true", help="derive config/expected.yaml from what is kept"
    )
    add_plan(parser)


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    if args.again:
        print(reference_runs.judge_again(plan))
    elif args.expected:
        print(expected.write(plan))
    elif not args.machine.strip():
        raise UserError("--machine: empty; say what it ran on")
    else:
        print(reference_runs.keep(plan, args.machine))
