"""Collects the verbs into one parser and runs the one that is asked for.

A verb is a module with `arguments(parser)` and `run(args)`, whose docstring is its help. Imports of
torch stay inside the `run` that needs it.
"""

import argparse
import os
import sys
from types import ModuleType

from vidtune import __version__
from vidtune.cli.ask import audit, completion, explain, lease, ls, plan, schema, stale, verify
from vidtune.cli.rules import (
    bench,
    collect,
    cost,
    data,
    evaluate,
    fetch,
    generate,
    memory,
    premise,
    pretrain,
    report,
    train,
)
from vidtune.spec import UserError

ASK = (ls, plan, verify, explain, audit, stale, schema, completion, lease)
RULES = (
    *(fetch, data, generate, pretrain, premise, train, evaluate),
    *(cost, memory, bench, collect, report),
)
VERBS: dict[str, ModuleType] = {verb.__name__.split(".")[-1]: verb for verb in (*ASK, *RULES)}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidtune", description="Reproducible benchmarks of efficient image-to-video tuning."
    )
    parser.add_argument("--version", action="version", version=f"vidtune {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for name, verb in VERBS.items():
        description = (verb.__doc__ or "").strip().replace("%", "%%")
        sub = verbs.add_parser(
            name,
            help=description.split("\n")[0],
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.arguments(sub)
        sub.set_defaults(run=verb.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0 done; 1 a counted cell is off without a reason, or counters differ; 2 bad
    input; 130 interrupted."""
    parser = make_parser()
    if "_ARGCOMPLETE" in os.environ:
        completion.answer(parser)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except UserError as e:
        print(f"vidtune {args.verb}: {e}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"vidtune {args.verb}: interrupted", file=sys.stderr)
        return 130
