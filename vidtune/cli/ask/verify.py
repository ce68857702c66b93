"""Give a verdict on every published cell.

Counted cells are computed, with progress, where no result holds them. The exit code is 1 where a
counted cell is off without a reason.
"""

import argparse
from collections.abc import Iterable
from typing import get_args

from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.plan import Plan
from vidtune.plan.chosen import run_all
from vidtune.progress import progress
from vidtune.report import verdicts
from vidtune.report.cells import Cell
from vidtune.report.numbers import results
from vidtune.report.numbers.rows import Row
from vidtune.report.texts import named_variants
from vidtune.spec import Kind, slug
from vidtune.spec.errors import unknown


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=get_args(Kind), help="only cells of this kind")
    parser.add_argument("--paper", help="only this paper's cells")
    parser.add_argument("--table", help="only this table's cells, as in table2")
    add_plan_json(parser)


def run(args: argparse.Namespace) -> int:
    plan = read_plan(args)
    asked = _select(plan, args, verdicts.cells(plan, []))
    names = {c.cell for c in asked}
    counted = {c.variant for c in asked if c.kind == "counted"}
    counted |= {
        v for c in asked for v in named_variants(c.variant.split("/")[0], c.standing_reason)
    }
    rows = with_counted(plan, results.gather(plan), counted)
    cells = [c for c in verdicts.cells(plan, rows) if c.cell in names]
    lines = [
        f"{c.verdict:14} {c.cell:55} {format_cell(plan, c)}  {c.reason}".rstrip() for c in cells
    ]
    tally = {v: sum(c.verdict == v for c in cells) for v in verdicts.VERDICTS}
    lines.append(", ".join(f"{n} {v}" for v, n in tally.items() if n))
    if not any(r.source == "ours" and r.seed is not None for r in rows):
        lines.append(_nothing_learned(plan))
    print_result(args, [c.model_dump() for c in cells], "\n".join(lines))
    wrong = [c for c in cells if c.kind == "counted" and c.verdict == "off" and not c.reason]
    return 1 if wrong else 0


def _nothing_learned(plan: Plan) -> str:
    there = f"no results in {plan.root}/runs"
    return f"nothing is learned yet at scale {plan.scale.name} ({there}): {run_all(plan.config)}"


def _select(plan: Plan, args: argparse.Namespace, cells: list[Cell]) -> list[Cell]:
    """The cells of --paper, --table and --kind. Raises `UserError` for a name that is none."""
    if args.paper is not None:
        if args.paper not in plan.config.papers:
            raise unknown("--paper", args.paper, plan.config.papers)
        cells = [c for c in cells if c.cell.split("/")[0] == args.paper]
    if args.table is not None:
        tables = dict.fromkeys(c.cell.split("/")[1] for c in cells)
        if slug(args.table) not in tables:
            raise unknown("--table", args.table, tables)
        cells = [c for c in cells if c.cell.split("/")[1] == slug(args.table)]
    if args.kind == "predicted":  # no paper prints one: the cells that a prediction stands beside
        predicted = {name for m in plan.config.metrics.values() for name in m.predicts}
        return [c for c in cells if c.metric in predicted]
    return [c for c in cells if args.kind in (None, c.kind)]


def format_cell(plan: Plan, cell: Cell) -> str:
    """The printed number, ours, and the predicted ones beside them."""
    digits = plan.config.metrics[cell.metric].digits
    text = f"print {cell.print:>7} ours {cell.number(max(digits, 1)) or '-':>8} {cell.unit:8}"
    for name, value in cell.predicted.items():
        m = plan.config.metrics[name]
        text += f" {m.label.split()[0].lower()} {value:.{m.digits}f} {m.unit}"
    return text


def with_counted(plan: Plan, rows: list[Row], variants: Iterable[str]) -> list[Row]:
    """Rows with the counted ones of `variants` computed afresh, with progress, where they are missing or
    stale."""
    keep = [r for r in rows if not (r.source == "ours" and r.kind == "counted" and r.stale)]
    fresh = {r.variant for r in keep if r.source == "ours" and r.kind == "counted"}
    asked = set(variants) - fresh
    names = [name for name in plan.models if name in asked]
    if not names:
        return keep
    from vidtune.cost import count

    for name in progress(names, len(names), "counting at full size", show=len(names) > 1):
        cost = count.cost(plan.models[name])
        keep += results.counted(plan, name, cost, "computed by vidtune verify")
    return keep
