"""`vidtune lease`, and the same without the rest of the command line: `python -m vidtune.gpu`."""

import argparse
from typing import NoReturn

from vidtune.gpu.idle import busy
from vidtune.gpu.lease import run, take

SAYS = "run a command on a GPU that no other job of ours has; without a GPU, just run it"


def arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
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
    return parser


def lease(args: argparse.Namespace) -> NoReturn:
    """Ends by an error only: the process becomes the command."""
    idle = busy if args.exclusive else None
    run(args.command, take(shared=args.shared, busy=idle, timeout=args.timeout))
