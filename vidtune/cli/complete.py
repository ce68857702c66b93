"""Completion in the shell: `vidtune completion <shell>` prints a script that asks
`vidtune __complete <words>` for what can stand at the last word. Imports no torch."""

import argparse
from collections.abc import Callable, Iterable, Iterator

from vidtune.plan import Plan, load
from vidtune.report import cell_names
from vidtune.report.verdicts import slug
from vidtune.spec import UserError

VERB = "__complete"
SCRIPTS = {
    "bash": """\
_vidtune() {
    local IFS=$'\\n'
    COMPREPLY=($("$1" __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
    [[ ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o default -F _vidtune vidtune
""",
    "zsh": """\
#compdef vidtune
_vidtune() {
    local -a found
    found=("${(@f)$("${words[1]}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    compadd -S '' -- ${(M)found:#*/}
    compadd -- ${found:#*/}
}
compdef _vidtune vidtune
""",
    "fish": """\
function __vidtune_complete
    set -l words (commandline -opc) (commandline -ct)
    $words[1] __complete $words[2..] 2>/dev/null; or __fish_complete_path $words[-1]
end
complete -c vidtune -f -a '(__vidtune_complete)'
""",
}


def completion(args: argparse.Namespace) -> int:
    """The script for a shell, to be evaluated by it."""
    print(SCRIPTS[args.shell], end="")
    return 0


def complete(parser: argparse.ArgumentParser, words: list[str]) -> int:
    """One candidate a line for the last of the words after `vidtune`; 1 where there is none."""
    *before, last = words or [""]
    found = candidates(parser, before, last)
    print("\n".join(found), end="\n" if found else "")
    return 0 if found else 1


def candidates(parser: argparse.ArgumentParser, before: list[str], last: str) -> list[str]:
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    if not before:
        return _starting([a.dest for a in verbs._choices_actions], last)
    if before[0] not in verbs.choices:
        return []
    actions = verbs.choices[before[0]]._actions
    options = {name: a for a in actions for name in a.option_strings}
    if last.startswith("-"):
        return _starting(options, last)
    asked = options.get(before[-1])
    if asked is None or asked.nargs == 0:
        asked = next((a for a in actions if not a.option_strings), None)
    if asked is None:
        return []
    if asked.choices:
        return _starting(map(str, asked.choices), last)
    return _named(asked.dest, before, last)


def _named(dest: str, before: list[str], last: str) -> list[str]:
    """What the configuration declares for an argument; nothing where it cannot be read."""
    folder = before[before.index("--config") + 1] if "--config" in before[:-1] else "config"
    kinds: dict[str, Callable[[Plan], Iterable[str]]] = {
        "variant": lambda p: p.variants,
        "variants": lambda p: p.variants,
        "scale": lambda p: p.config.scales,
        "paper": lambda p: p.config.papers,
        "papers": lambda p: p.config.papers,
        "table": _tables,
        "names": lambda p: [b.name for b in p.config.backbones.values() if b.weights],
    }
    if dest != "cell" and dest not in kinds:
        return []
    try:
        plan = load(folder)
    except UserError:
        return []
    return _cells(plan, last) if dest == "cell" else _starting(kinds[dest](plan), last)


def _tables(plan: Plan) -> Iterator[str]:
    return (slug(n.where) for paper in plan.config.papers.values() for n in paper.numbers)


def _cells(plan: Plan, last: str) -> list[str]:
    """Level by level, declared names before labels: "side4video/", then "side4video/table2/"."""
    known = cell_names.table(plan)
    declared = [name for name, found in known.items() if name == found[0].cell]
    for every in (declared, known):
        found = _starting(every, last)
        if found:
            ends = ((name, name.find("/", len(last))) for name in found)
            return list(dict.fromkeys(name if k < 0 else name[: k + 1] for name, k in ends))
    return []


def _starting(known: Iterable[str], last: str) -> list[str]:
    return [name for name in dict.fromkeys(known) if name.startswith(last)]
