"""The verb `explain`: one published cell, told in full."""

import argparse
import json
from collections.abc import Iterable, Iterator

from vidtune.cli.ask import plan_of
from vidtune.cli.verify import told, with_counted
from vidtune.plan import Plan
from vidtune.plan.origins import Origin
from vidtune.report import cell_names
from vidtune.report.explain import Explanation
from vidtune.report.explain import explain as explained
from vidtune.report.numbers import results

WIDTH = 14  # of what stands in front of a line's value


def explain(args: argparse.Namespace) -> int:
    """A counted number that no result holds is computed."""
    p = plan_of(args)
    found = cell_names.find(p, args.cell)
    rows = results.gather(p)
    if p.config.metrics[found.metric].kind == "counted":
        rows = with_counted(p, rows, [found.variant])
    e = explained(p, args.cell, rows)
    print(json.dumps(e.model_dump(), indent=1) if args.json else "\n".join(lines(p, e)))
    return 0


def lines(p: Plan, e: Explanation) -> Iterator[str]:
    """The explanation for a reader."""
    yield f"{e.cell.cell}    {e.label} in {e.table}"
    yield _line("numbers", " ".join(told(p, e.cell).split()))
    yield _line("verdict", e.cell.verdict + (f": {e.cell.reason}" if e.cell.reason else ""))
    yield _line("convention", e.convention)
    for what, text in (("print under", e.condition), ("note", e.note)):
        if text:
            yield _line(what, text)
    for text in e.made_by:
        yield _line("ours", text)
    yield from _origins(e.origins)
    yield from _origins(e.at_scale)
    for n in e.neighbours:
        beside = f"prints {n.print}" if n.print else "prints nothing here"
        yield f"beside {n.row} ({n.label}), which {beside}"
        yield from (f"  {text}" for text in n.differs or ["nothing is known to differ"])
    for c in e.contradictions:
        yield f"contradicted: {c.where}: {c.says}"
        yield f"  against it: {c.against}" + (f"; {c.note}" if c.note else "")
    yield "recompute" if e.recompute else "a cited system: nothing to recompute"
    yield from (f"  {command}" for command in e.recompute)


def _line(what: str, text: str) -> str:
    return f"  {what:{WIDTH}} {text}"


def _origins(found: Iterable[Origin]) -> Iterator[str]:
    """By part: what is set, line by line, then what nobody sets."""
    parts: dict[str, list[Origin]] = {}
    for o in found:
        parts.setdefault(o.part, []).append(o)
    for part, group in parts.items():
        sources = dict.fromkeys(o.source for o in group if o.source)
        yield part + "".join(f"\n  from {source}" for source in sources)
        quiet = [o for o in group if o.of == "default" and o.part not in ("variant", "options")]
        for o in [o for o in group if o not in quiet]:
            says = f"  # {o.says}" if o.says else ""
            yield f"  {o.field:18} {_value(o)}  [{o.of}, {o.where}]{says}"
        if quiet:
            unset = ", ".join(f"{o.field} {_value(o)}" for o in quiet)
            yield f"  not set, so by vidtune/spec/nouns.py: {unset}"


def _value(o: Origin) -> str:
    return json.dumps(o.value) if isinstance(o.value, dict | list | bool | None) else str(o.value)
