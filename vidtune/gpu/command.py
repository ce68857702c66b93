"""`vidtune lease`, and the same without the rest of the command line: `python -m vidtune.gpu`."""

import argparse
from typing import NoReturn

from vidtune.gpu.lease import become, take
from vidtune.gpu.nvml import busy


def arguments(parser: argparse.ArgumentParser) -> None:
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument(
        "--shared", action="store_true", help="beside other shared jobs, on the emptiest GPU"
    )
    kind.add_argument(
        "--exclusive", action="store_true", help="for timing: also wait until the GPU is idle"
    )
    parser.add_argument(
        "--timeout", type=float, metavar="S", help="give up after S seconds (default: wait)"
    )
    parser.add_argument("command", nargs="+", help="after --: the command with its arguments")


def run(args: argparse.Namespace) -> NoReturn:
    """Replace the process by the command; return by an error only."""
    idle = busy if args.exclusive else None
    become(args.command, take(shared=args.shared, busy=idle, timeout=args.timeout))
