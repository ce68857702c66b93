"""Collects the verbs into one parser and runs the one that is asked for.

A verb is a file of ask/ or rules/ with `arguments(parser)` and `run(args)`; its docstring is its
help. `run` returns the exit code; None: 0. Imports of torch stay inside the `run` that needs it.
"""

import argparse
import os
import sys
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from argcomplete import autocomplete

from vidtune import __version__
from vidtune.cli import ask, rules
from vidtune.cli.ask.completion import declared
from vidtune.cli.launch import NOT_MET, STOPPED
from vidtune.spec import NotMet, Stopped, UserError


def find_verbs(folder: ModuleType) -> dict[str, ModuleType]:
    names = [name for _, name, _ in iter_modules(folder.__path__)]
    return {name: import_module(f"{folder.__name__}.{name}") for name in names}


VERBS = {**find_verbs(ask), **find_verbs(rules)}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidtune", description="Reproducible benchmarks of efficient image-to-video tuning."
    )
    parser.add_argument("--version", action="version", version=f"vidtune {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")
    for name, verb in VERBS.items():
        text = (verb.__doc__ or "").strip().replace("%", "%%")
        sub = verbs.add_parser(
            name,
            help=text.splitlines()[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        verb.arguments(sub)
        sub.set_defaults(run=verb.run)
    return parser


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0 done; 1 a counted cell is off without a reason, or counters differ; 2 bad
    input; 75 told to stop, start it again to go on; 76 the processes of a run did not meet; 130
    interrupted."""
    parser = make_parser()
    autocomplete(parser, always_complete_options=False, default_completer=declared)
    args = parser.parse_args(argv)
    args.given = sys.argv[1:] if argv is None else argv
    try:
        return args.run(args) or 0
    except UserError as e:
        print(f"vidtune {args.verb}: {e}", file=sys.stderr)
        return 2
    except Stopped as e:
        print(f"vidtune {args.verb}: {e}", file=sys.stderr)
        return STOPPED
    except NotMet as e:
        print(f"vidtune {args.verb}: {e}", file=sys.stderr)
        return NOT_MET
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"vidtune {args.verb}: interrupted", file=sys.stderr)
        return 130
