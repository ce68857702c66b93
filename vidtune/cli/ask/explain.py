"""Explain one published cell: both numbers, the verdict, and the origin of every setting.

A counted number that no result holds is computed.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import groupby

from vidtune.cli.ask.verify import format_cell, with_counted
from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.plan import Plan
from vidtune.plan.names import with_paper
from vidtune.plan.origins import Origin
from vidtune.report import cell_names
from vidtune.report.explain import Explanation, counted_variants, explain
from vidtune.report.numbers import results


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "cell", help="<paper>/<table>/<row>/<column>, as `vidtune verify` lists them"
    )
    parser.add_argument("--brief", action="store_true", help="numbers, verdict, command; no more")
    add_plan_json(parser)


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    name = with_paper(plan, args.cell)
    named = cell_names.find(plan, name)
    rows = results.gather(plan)
    if plan.config.metrics[named.metric].kind == "counted":
        rows = with_counted(plan, rows, counted_variants(plan, named))
    explanation = explain(plan, name, rows)
    lines = _brief(plan, explanation) if args.brief else _lines(plan, explanation)
    print_result(args, explanation.model_dump(), "\n".join(lines))


def _brief(plan: Plan, e: Explanation) -> Iterator[str]:
    yield f"{e.cell.cell}    {e.label} in {e.table}"
    yield from _labelled(_judged(plan, e))
    yield from (f"  {'recompute':14} {command}" for command in e.recompute)


def _judged(plan: Plan, e: Explanation) -> list[tuple[str, str]]:
    verdict = e.cell.verdict + (f": {e.cell.reason}" if e.cell.reason else "")
    return [("numbers", " ".join(format_cell(plan, e.cell).split())), ("verdict", verdict)]


def _labelled(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"  {label:14} {text}" for label, text in pairs if text)


def _lines(plan: Plan, e: Explanation) -> Iterator[str]:
    yield f"{e.cell.cell}    {e.label} in {e.table}"
    labelled = [
        *_judged(plan, e),
        ("convention", e.convention),
        ("print under", e.condition),
        ("note", e.note),
        *(("ours", text) for text in e.made_by),
    ]
    yield from _labelled(labelled)
    yield from _format_origins(e.origins + e.at_scale)
    for n in e.neighbours:
        printed = f"prints {n.print}" if n.print else "prints nothing in this column"
        yield f"beside {n.row} ({n.label}), which {printed}"
        yield from (f"  {text}" for text in n.differs or ["nothing is known to differ"])
    for c in e.contradictions:
        yield f"contradicted: {c.where}: {c.says}"
        yield f"  against it: {c.against}" + (f"; {c.note}" if c.note else "")
    nothing = "nothing to recompute: a setting, a cited system, or a number of a whole training"
    yield "recompute" if e.recompute else nothing
    yield from (f"  {command}" for command in e.recompute)


def _format_origins(origins: Iterable[Origin]) -> Iterator[str]:
    """By part: the settings, one a line, then those that keep their defaults."""
    for part, settings in groupby(origins, key=lambda o: o.part):
        group = list(settings)
        sources = dict.fromkeys(o.source for o in group if o.source)
        yield part + "".join(f"\n  from {source}" for source in sources)
        unset = [o for o in group if o.of == "default" and o.part not in ("variant", "options")]
        for o in [o for o in group if o not in unset]:
            says = f"  # {o.says}" if o.says else ""
            yield f"  {o.field:18} {_format_value(o)}  [{o.of}, {o.where}]{says}"
        if unset:
            values = ", ".join(f"{o.field} {_format_value(o)}" for o in unset)
            yield f"  not set, so the default of vidtune/spec: {values}"


def _format_value(o: Origin) -> str:
    return json.dumps(o.value) if isinstance(o.value, dict | list | bool | None) else str(o.value)
