"""Collects the verbs into one parser and runs the one that is asked for.

A verb is a file of ask/ or rules/ with `arguments(parser)` and `run(args)`; its docstring is its
help. `run` returns the exit code; None: 0. Imports of torch stay inside the `run` that needs it.
"""

import argparse
import os
import signal
import sys
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import NoReturn

from argcomplete import autocomplete

from vidtune import __version__
from vidtune.cli import ask, rules
from vidtune.cli.ask.completion import declared
from vidtune.cli.launch import NOT_MET, STOPPED
from vidtune.spec import Lost, NotMet, Stopped, UserError
from vidtune.spec.errors import printable, system_errors_explained, unknown

# Verbs of rules that people call as well. The others are the pipeline's.
SHARED = ("cost", "memory", "bench", "fetch", "data")
MEANT = {
    **dict.fromkeys(("list", "variants", "methods", "show"), "ls"),
    **dict.fromkeys(("flops", "gflops", "params", "count"), "cost"),
    **dict.fromkeys(("check", "verdicts"), "verify"),
    **dict.fromkeys(("why", "describe"), "explain"),
    **dict.fromkeys(("start", "reproduce"), "run"),
    **dict.fromkeys(("compare", "changes"), "diff"),
    **dict.fromkeys(("add", "create", "init"), "new"),
    **dict.fromkeys(("download", "weights"), "fetch"),
    **dict.fromkeys(("todo", "estimate"), "plan"),
    **dict.fromkeys(("state", "info"), "status"),
}


def find_verbs(folder: ModuleType) -> dict[str, ModuleType]:
    names = [name for _, name, _ in iter_modules(folder.__path__)]
    return {name: import_module(f"{folder.__name__}.{name}") for name in names}


def _in_order(asked: dict[str, ModuleType], called: dict[str, ModuleType]) -> dict[str, ModuleType]:
    """What people ask, then what rules call."""
    people = asked | {name: called[name] for name in SHARED}
    return {name: people[name] for name in sorted(people)} | called


VERBS = _in_order(find_verbs(ask), find_verbs(rules))


class Parser(argparse.ArgumentParser):
    """Its errors are one line; the usage is in the help."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")


def make_parser() -> argparse.ArgumentParser:
    internal = [name for name in find_verbs(rules) if name not in SHARED]
    parser = Parser(
        prog="vidtune",
        description="Reproducible benchmarks of efficient image-to-video tuning. Without a verb: what "
        "there is, and what to do next.",
        epilog=f"Snakemake calls {', '.join(internal)}; how to do so by hand is in their help.",
    )
    parser.add_argument("--version", action="version", version=f"vidtune {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="verb")
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


def read_arguments(parser: argparse.ArgumentParser, given: list[str]) -> argparse.Namespace:
    """The arguments; without a verb those of `status`. Raises `UserError` for a word that is no verb."""
    general = ("-h", "--help", "--version")
    alone = not given or (given[0].startswith("-") and given[0] not in general)
    words = ["status", *given] if alone else given
    if not words[0].startswith("-") and words[0] not in VERBS:
        if meant := MEANT.get(words[0]):
            raise UserError(f"{words[0]!r} is not a verb; did you mean {meant}?")
        raise unknown("verb", words[0], VERBS)
    args, rest = parser.parse_known_args(words)
    if rest and not getattr(VERBS[args.verb], "PASSES_ON", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    args.given, args.rest = given, rest
    return args


def main(argv: list[str] | None = None) -> int:
    """The exit code: 0 done; 1 a counted cell is off without a reason, counters or results differ, or
    another process of a run has ended; 2 bad input; 75 told to stop, start it again to go on; 76 the
    processes of a run did not meet; 130 interrupted."""
    parser = make_parser()
    autocomplete(parser, always_complete_options=False, default_completer=declared)
    given = sys.argv[1:] if argv is None else argv
    said = "vidtune"
    try:
        with system_errors_explained():
            args = read_arguments(parser, given)
            said = f"vidtune {args.verb}"
            return args.run(args) or 0
    except UserError as e:
        print(f"{said}: {printable(str(e))}", file=sys.stderr)
        return 2
    except Stopped as e:
        print(f"{said}: {e}", file=sys.stderr)
        return STOPPED
    except NotMet as e:
        print(f"{said}: {e}", file=sys.stderr)
        return NOT_MET
    except Lost as e:
        print(f"{said}: {e}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal and a launcher may both send it
        print(f"{said}: interrupted", file=sys.stderr)
        return 130
