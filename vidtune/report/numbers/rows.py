"""A row is one number with its origin, ours or printed; `rows.csv` holds all of them.

Tables, plots, claims and the page read no other numbers. The first columns of one line:
  variant,metric,value,unit,kind,source,where,scale
  side4video/b16-ssv2,gflops,528.0,GMACs,counted,paper,Table 2,published
"""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from vidtune.plan import Plan
from vidtune.spec import Frozen, Kind, Metric, UserError, parse

PUBLISHED, FULL_SIZE = "published", "full size"
HERE, REFERENCE = "this machine", "reference"  # where a measured number was measured
OOM, BUSY = "oom", "busy"  # how a measurement can end without a number to compare
TYPED = {"value": float, "seed": int, "n": int, "coverage": float, "stale": "True".__eq__}


class Row(Frozen):
    """One number. `text` is how the paper prints it, or how a measurement without one ended (its
    value is then not a number); `n` is the number of test clips."""

    variant: str  # "<paper>/<variant or cited system>"
    metric: str
    value: float
    unit: str
    kind: Kind
    source: Literal["ours", "paper"]
    where: str  # the paper's table, or the results file
    # "published"; "full size" (counted, predicted); "this machine" or "reference" (measured); or
    # the scale it was learned at
    scale: str
    seed: int | None = None
    n: int | None = None
    coverage: float | None = None  # learned: share of the clips, in training or test, the smaller
    device: str = ""
    digest: str = ""  # of the code that decides the number
    stale: bool = False  # that code, or what was asked for, has changed since
    text: str = ""
    condition: str = ""  # the convention of a count, or what it was taken under


RowIndex = dict[tuple[str, str], list[Row]]  # by variant and metric: seeds, devices or tables


def our_row(metric: Metric, **fields: Any) -> Row:
    return Row(metric=metric.name, unit=metric.unit, kind=metric.kind, source="ours", **fields)


def our_rows(rows: Iterable[Row]) -> RowIndex:
    return _index(rows, "ours")


def printed_rows(rows: Iterable[Row]) -> RowIndex:
    return _index(rows, "paper")


def _index(rows: Iterable[Row], source: str) -> RowIndex:
    out: RowIndex = {}
    for row in rows:
        if row.source == source:
            out.setdefault((row.variant, row.metric), []).append(row)
    return out


def published(plan: Plan) -> Iterator[Row]:
    """Every published number, in the papers' order."""
    for paper in plan.config.papers.values():
        for numbers in paper.numbers:
            for name, cells in numbers.rows.items():
                for metric, value in cells.items():
                    m = plan.config.metrics[metric]
                    yield Row(
                        variant=f"{paper.name}/{name}",
                        metric=metric,
                        value=float(value),
                        unit=m.unit,
                        kind=m.kind,
                        source="paper",
                        where=numbers.where,
                        scale=PUBLISHED,
                        text=str(value),
                        condition=numbers.under(name).text,
                    )


def to_csv(rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({k: "" if v is None else v for k, v in dict(row).items()})
    return out.getvalue()


def from_csv(path: Path) -> list[Row]:
    """The rows of a `rows.csv`. Raises `UserError` with the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; run `vidtune collect` to write it") from None
    reader = csv.DictReader(io.StringIO(text))
    if reader.fieldnames != list(Row.model_fields):
        raise UserError(
            f"{path}:1: not the columns of rows.csv; run `vidtune collect` to write it again"
        )
    rows = []
    for fields in reader:
        try:
            typed = {
                k: (TYPED[k](v) if v else None) if k in TYPED else v for k, v in fields.items()
            }
        except ValueError:
            typed = {}
        if typed.get("value") is None:
            raise UserError(f"{path}:{reader.line_num}: not a row; run `vidtune collect` again")
        rows.append(parse(Row, typed, path, (reader.line_num,)))
    return rows
