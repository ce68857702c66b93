"""The verb `verify`: a verdict on every published cell."""

import argparse
import json
from collections.abc import Iterable
from typing import Any

from vidtune.cli.ask import plan_of
from vidtune.plan import Plan
from vidtune.report import verdicts
from vidtune.report.numbers import results
from vidtune.report.numbers.rows import Row
from vidtune.report.verdicts import Cell
from vidtune.spec.suggest import unknown


def verify(args: argparse.Namespace) -> int:
    """Verdicts; counted cells are computed here where no result holds them. 1: off, unexplained."""
    p = plan_of(args)
    wanted = {c.cell for c in _wanted(p, args, verdicts.cells(p, []))}
    rows = results.gather(p)
    counted = {c.variant for c in verdicts.cells(p, []) if c.cell in wanted and c.kind == "counted"}
    cells = [c for c in verdicts.cells(p, with_counted(p, rows, counted)) if c.cell in wanted]
    if args.json:
        print(json.dumps([c.model_dump() for c in cells], indent=1))
    else:
        for c in cells:
            print(f"{c.verdict:14} {c.cell:55} {told(p, c)}  {c.reason}".rstrip())
        tally = {v: sum(c.verdict == v for c in cells) for v in verdicts.VERDICTS}
        print(", ".join(f"{n} {v}" for v, n in tally.items() if n))
    wrong = [c for c in cells if c.kind == "counted" and c.verdict == "off" and not c.reason]
    return 1 if wrong else 0


def _wanted(p: Plan, args: argparse.Namespace, cells: list[Cell]) -> list[Cell]:
    """The cells of --paper, --table and --kind. Raises `UserError` for a name that is none."""
    papers = list(p.config.papers)
    if args.paper:
        if args.paper not in papers:
            raise unknown("--paper", args.paper, papers)
        cells = [c for c in cells if c.cell.split("/")[0] == args.paper]
    if args.table:
        tables = dict.fromkeys(c.cell.split("/")[1] for c in cells)
        if verdicts.slug(args.table) not in tables:
            raise unknown("--table", args.table, tables)
        cells = [c for c in cells if c.cell.split("/")[1] == verdicts.slug(args.table)]
    if args.kind == "predicted":  # no paper prints one: those that a prediction stands beside
        beside = {name for m in p.config.metrics.values() for name in m.beside}
        return [c for c in cells if c.metric in beside]
    return [c for c in cells if args.kind in (None, c.kind)]


def told(p: Plan, c: Cell) -> str:
    """Print and ours, and what is predicted beside them."""
    digits = p.config.metrics[c.metric].digits
    ours = "-" if c.ours is None else f"{c.ours:.{max(digits, 1)}f}"
    text = f"print {c.print:>7} ours {ours:>8} {c.unit:8}"
    for name, value in c.predicted.items():
        m = p.config.metrics[name]
        text += f" {m.label.split()[0].lower()} {value:.{m.digits}f} {m.unit}"
    return text


def with_counted(p: Plan, found: list[Row], variants: Iterable[str]) -> list[Any]:
    """Rows with the counted ones of `variants` computed afresh where they are missing or stale."""
    fresh = {r.variant for r in found if r.source == "ours" and r.kind == "counted" and not r.stale}
    keep = [r for r in found if not (r.source == "ours" and r.kind == "counted" and r.stale)]
    for name in p.models:
        if name in set(variants) - fresh:
            from vidtune.cost import count

            cost = count.cost(p.models[name])
            keep += results.counted(p, name, cost, "computed by vidtune verify")
    return keep
