"""Variants, tables and cells as people name them: the paper may be left out where one alone is meant."""

import difflib
import re
from collections.abc import Callable, Iterable

from vidtune.plan.plan import Plan
from vidtune.spec import Numbers, UserError, slug
from vidtune.spec.errors import unknown

MEANT = 3  # names that a message suggests


def find_variant(plan: Plan, name: str) -> str:
    """The variant of a name, "<paper>/<variant>" or its last part. Raises `UserError`, with the names that
    come close in spelling or else in meaning: method, backbone, dataset, label."""
    return _find("variant", name, plan.variants, lambda: _meant(plan, name))


def find_table(plan: Plan, name: str) -> str:
    """The published table of a name, as "<paper>/<table>"; files of the results say "<paper>-<table>"."""
    known = [
        f"{paper.name}/{slug(where)}"
        for paper in plan.config.papers.values()
        for where in dict.fromkeys(n.where for n in paper.numbers)
    ]
    files = {one.replace("/", "-"): one for one in known}
    head, _, tail = name.rpartition("/")
    return _find("table", files.get(name) or f"{head}{'/' if head else ''}{slug(tail)}", known)


def with_paper(plan: Plan, cell: str) -> str:
    """The name of a cell with its paper, where it has none and one paper alone has such a table."""
    parts = cell.strip("/").split("/")
    if len(parts) == 3 and parts[0] not in plan.config.papers:
        of = [p.name for p in plan.config.papers.values() if _has_table(p.numbers, parts[0])]
        return f"{of[0]}/{cell}" if len(of) == 1 else cell
    return cell


def _has_table(numbers: Iterable[Numbers], table: str) -> bool:
    return any(slug(n.where) == slug(table) for n in numbers)


def _find(what: str, name: str, known: Iterable[str], meant: Callable[[], list[str]] = list) -> str:
    names = list(known)
    if name in names:
        return name
    ends = [one for one in names if one.split("/")[1] == name]
    if len(ends) == 1:
        return ends[0]
    if ends:
        raise UserError(f"{what}: {name!r} is one of several papers; name one: {', '.join(ends)}")
    if not difflib.get_close_matches(name, names, n=1, cutoff=0.6) and (others := meant()):
        raise UserError(f"{what}: {name!r} is not known; did you mean {' or '.join(others)}?")
    raise unknown(what, name, names)


def _meant(plan: Plan, name: str) -> list[str]:
    """The variants that most words of a name describe, more than half of them; first those of a method
    that it names, then the shortest."""
    asked = _words(name)
    scores = {}
    for one, v in plan.variants.items():
        dataset = plan.config.datasets[v.dataset]
        about = (one, v.method, v.backbone, v.dataset, dataset.title, v.label, f"f{v.frames}")
        named = _words(v.method) <= asked
        scores[one] = len(asked & _words(" ".join(filter(None, about)))) + named
    best = max(scores.values(), default=0)
    if 2 * best <= len(asked):
        return []
    return sorted((n for n, s in scores.items() if s == best), key=lambda n: (len(n), n))[:MEANT]


def _words(text: str) -> set[str]:
    return set(re.findall(r"[a-z]+|\d+", text.lower()))
