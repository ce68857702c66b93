"""Compare two results folders: which numbers of ours changed, by how much, and which verdicts.

  vidtune diff results/mini other/mini
A learned number is the mean over seeds. The exit code is 1 where anything differs.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any, NamedTuple

from vidtune.cli.inputs import as_name, as_path, print_result
from vidtune.plan import Plan, load
from vidtune.report import verdicts
from vidtune.report.numbers.rows import Row, rows_from_csv
from vidtune.spec import UserError, read_yaml

EQUAL = 1e-9  # relative difference of numbers that were computed alike


class Number(NamedTuple):
    """A number of ours: the mean over `seeds`, with their standard deviation."""

    value: float
    unit: str
    seeds: int
    sd: float | None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", type=as_path, help="a folder <results>/<scale> with a rows.csv")
    parser.add_argument("after", type=as_path, help="another")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--config", type=as_path, default="config", help="config folder (default: config)"
    )
    parser.add_argument(
        "--scale", type=as_name, help="of both, where a folder is not named after its scale"
    )


def run(args: argparse.Namespace) -> int:
    results = [Path(args.before), Path(args.after)]
    plans = [_plan(args, folder) for folder in results]
    rows = [rows_from_csv(folder / "rows.csv") for folder in results]
    before, after = map(_numbers, rows)
    shared = [key for key in after if key in before]
    changed = [
        _change(key, before[key], after[key])
        for key in shared
        if not _equal(before[key], after[key])
    ]
    judged = [
        {c.cell: c.verdict for c in verdicts.cells(plan, found)}
        for plan, found in zip(plans, rows, strict=True)
    ]
    result = {
        "equal": len(shared) - len(changed),
        "changed": changed,
        "only_before": [list(key) for key in before if key not in after],
        "only_after": [list(key) for key in after if key not in before],
        "verdicts": [
            {"cell": cell, "before": judged[0].get(cell), "after": judged[1].get(cell)}
            for cell in dict.fromkeys([*judged[0], *judged[1]])
            if judged[0].get(cell) != judged[1].get(cell)
        ],
    }
    print_result(args, result, _format(plans[1], result))
    return int(any(result[key] for key in ("changed", "only_before", "only_after", "verdicts")))


def _plan(args: argparse.Namespace, folder: Path) -> Plan:
    """The plan of a results folder, which is named after its scale."""
    scales = read_yaml(Path(args.config) / "scales.yaml")
    scale = args.scale or folder.resolve().name
    if scale not in scales:
        raise UserError(
            f"{folder}: {scale!r} is no scale; expected <results>/<scale>, of {', '.join(scales)}; "
            "or name it by --scale"
        )
    return load(args.config, {"scale": scale, "results": str(folder.resolve().parent)})


def _numbers(rows: list[Row]) -> dict[tuple[str, ...], Number]:
    """(variant, metric, where it is of: full size, a device, learned) -> number. The scale of learned ones
    is that of the folder, and is left out, so that scales can be compared too."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row.source == "ours" and not row.text:
            of = {"learned": "learned", "measured": row.device}.get(row.kind, row.scale)
            best = "" if row.best_of is None else "best of tests"
            under = row.condition if row.kind in ("measured", "predicted") else best
            found.setdefault((row.variant, row.metric, of, under), []).append(row)
    return {key: _number(same) for key, same in found.items()}


def _number(rows: list[Row]) -> Number:
    values = [row.value for row in rows]
    sd = statistics.stdev(values) if len(values) > 1 else None
    return Number(statistics.fmean(values), rows[0].unit, len(values), sd)


def _equal(a: Number, b: Number) -> bool:
    return a.seeds == b.seeds and abs(a.value - b.value) <= EQUAL * max(abs(a.value), abs(b.value))


def _change(key: tuple[str, ...], before: Number, after: Number) -> dict[str, Any]:
    variant, metric, of, under = key
    named = {"variant": variant, "metric": metric, "of": of, "under": under}
    return {**named, "before": before._asdict(), "after": after._asdict()}


def _format(plan: Plan, result: dict[str, Any]) -> str:
    lines = [_format_change(plan, one) for one in result["changed"]]
    for key in ("only_before", "only_after"):
        lines += [
            f"{key.replace('_', ' '):12} {' '.join(filter(None, one))}" for one in result[key]
        ]
    lines += [
        f"{'verdict':12} {one['cell']}: {one['before']} -> {one['after']}"
        for one in result["verdicts"]
    ]
    return "\n".join(
        [
            *lines,
            f"{result['equal']} numbers are equal, {len(result['changed'])} changed, "
            f"{len(result['only_before'])} only before, {len(result['only_after'])} only after; "
            f"{len(result['verdicts'])} verdicts changed",
        ]
    )


def _format_change(plan: Plan, one: dict[str, Any]) -> str:
    metric, a, b = plan.config.metrics.get(one["metric"]), one["before"], one["after"]
    digits = max(metric.digits if metric else 0, 2)
    by = f"{b['value'] - a['value']:+.{digits}f} {b['unit']}"
    text = f"{a['value']:.{digits}f} -> {b['value']:.{digits}f}  {by}"
    if a["value"] and one["of"] != "learned":
        text += f" ({100 * (b['value'] / a['value'] - 1):+.2f} %)"
    if one["of"] == "learned":
        spread = "/".join("-" if x["sd"] is None else f"{x['sd']:.{digits}f}" for x in (a, b))
        text += f" (seeds {a['seeds']}/{b['seeds']}, sd {spread})"
    what = " ".join(filter(None, [one["of"], one["under"]]))
    return f"{'changed':12} {one['variant']} {one['metric']}  {text}; {what}"
