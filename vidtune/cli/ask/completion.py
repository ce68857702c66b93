"""Print a shell's script for tab completion: eval "$(vidtune completion bash)".

The script runs `vidtune` with _ARGCOMPLETE set, and `main` then answers the shell.
"""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

import argcomplete

from vidtune.cli.inputs import read_plan
from vidtune.plan import Plan, method_names
from vidtune.report.cell_names import known_names
from vidtune.spec import UserError, slug


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "fish"))


def run(args: argparse.Namespace) -> None:
    print(argcomplete.shellcode(["vidtune"], shell=args.shell))


def declared(
    prefix: str, action: argparse.Action, parsed_args: argparse.Namespace, **_: Any
) -> Iterable[str]:
    """The names that the configuration declares for an argument; files for all other arguments."""
    kinds: dict[str, Callable[[Plan], Iterable[str]]] = {
        "cell": lambda p: _cells(p, prefix),
        "variant": lambda p: p.variants,
        "target": lambda p: [*_tables(p), *p.variants],
        "scale": lambda p: p.config.scales,
        "method": lambda p: method_names(),
        "backbone": lambda p: p.config.backbones,
        "paper": lambda p: p.config.papers,
        "table": lambda p: [name.split("/")[1] for name in _tables(p)],
        "dataset": lambda p: p.config.datasets,
        "name": lambda p: [b.name for b in p.config.backbones.values() if b.weights],
    }
    kind = kinds.get(action.dest.removesuffix("s"))
    if kind is None:
        return argcomplete.FilesCompleter()(prefix)
    try:
        return kind(read_plan(parsed_args))
    except UserError:  # nothing is declared where the configuration cannot be read
        return []


def _tables(plan: Plan) -> list[str]:
    return [f"{p.name}/{slug(n.where)}" for p in plan.config.papers.values() for n in p.numbers]


def _cells(plan: Plan, prefix: str) -> list[str]:
    """Level by level, declared names before labels: "side4video/", then "side4video/table2/"."""
    known = known_names(plan)
    canonical = [name for name, cells in known.items() if name == cells[0].cell]
    for level in (canonical, known):
        if matching := [name for name in level if name.startswith(prefix)]:
            ends = ((name, name.find("/", len(prefix))) for name in matching)
            return list(dict.fromkeys(name if k < 0 else name[: k + 1] for name, k in ends))
    return []
