"""A row is one number with its origin, ours or printed; `rows.csv` holds all of them.

Tables, plots, claims and the page read no other numbers. The first columns of one line:
  variant,metric,value,unit,kind,source,where,scale
  side4video/b16-ssv2,gflops,528.0,GMACs,counted,paper,Table 2,published
"""

import csv
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError

from vidtune.plan import Plan
from vidtune.report.cell_names import published_cells
from vidtune.spec import Frozen, Kind, Metric, UserError, read_text

PUBLISHED, FULL_SIZE = "published", "full size"
HERE, REFERENCE = "this machine", "reference"  # where a measured number was measured
OOM, BUSY = "oom", "busy"  # how a measurement can end without a number to compare


class Row(Frozen):
    """One number. `text` is how the paper prints it, or how a measurement without one ended (its
    value is then not a number); `n` is the number of test clips."""

    model_config = ConfigDict(allow_inf_nan=True)

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
    # learned: of so many tests on the test set in training it is the best one's; None: the last weights'
    best_of: int | None = None

    def problems(self) -> Iterator[str]:
        where = {"measured": (HERE, REFERENCE), "counted": (FULL_SIZE,), "predicted": (FULL_SIZE,)}
        scales = where.get(self.kind, (self.scale,))
        if self.scale not in ((PUBLISHED,) if self.source == "paper" else scales):
            yield f"scale: {self.scale!r} is none of a {self.kind} number of {self.source}"
        if self.text not in (OOM, BUSY) and not math.isfinite(self.value):
            yield f"value: expected a number; found {self.value}"


# by variant and metric: seeds, devices or tables; the best of tests apart, see `best`
RowIndex = dict[tuple[str, str], list[Row]]


def our_row(metric: Metric, **fields: Any) -> Row:
    return Row(metric=metric.name, unit=metric.unit, kind=metric.kind, source="ours", **fields)


def best(metric: str) -> str:
    """The key, in a `RowIndex`, of a metric's rows that are the best of tests on the test set."""
    return f"{metric}, best on test"


def index_rows(rows: Iterable[Row], source: str = "ours") -> RowIndex:
    out: RowIndex = {}
    for row in rows:
        if row.source == source:
            key = row.metric if row.best_of is None else best(row.metric)
            out.setdefault((row.variant, key), []).append(row)
    return out


def published(plan: Plan) -> Iterator[Row]:
    """Every published number, in the papers' order."""
    for cell in published_cells(plan):
        row, m = cell.variant.split("/")[1], plan.config.metrics[cell.metric]
        value = cell.numbers.rows[row][cell.metric]
        yield Row(
            variant=cell.variant,
            metric=cell.metric,
            value=float(value),
            unit=m.unit,
            kind=m.kind,
            source="paper",
            where=cell.numbers.where,
            scale=PUBLISHED,
            text=str(value),
            condition=cell.numbers.under(row).text,
        )


def rows_to_csv(rows: Iterable[Row]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(row) for row in rows)  # None is written as an empty field
    return out.getvalue()


def rows_from_csv(path: Path, plan: Plan | None = None) -> list[Row]:
    """The rows of a `rows.csv`, of the plan's metrics where one is given. Raises `UserError` with the line
    that is wrong."""
    again = "run `vidtune collect` to write it"
    text = read_text(path, again, advice=f"{again} again")
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    metrics = plan.config.metrics if plan else None
    rows = []
    try:
        if reader.fieldnames != list(Row.model_fields):
            raise UserError(f"{path}:1: not the columns of rows.csv; {again} again")
        for fields in reader:
            row = _row(fields, f"{path}:{reader.line_num}")
            if metrics and (row.metric not in metrics or row.kind != metrics[row.metric].kind):
                what = f"{row.metric!r} is no {row.kind} metric of config/metrics.yaml"
                raise UserError(
                    f"{path}:{reader.line_num}: metric: {what}; run `vidtune collect` again"
                )
            rows.append(row)
    except csv.Error as e:
        raise UserError(f"{path}:{reader.line_num}: not valid csv ({e}); {again} again") from None
    return rows


def of_scale_seeds(plan: Plan, rows: list[Row]) -> list[Row]:
    """Rows without those of seeds that the plan's scale does not have, or is not to have this time."""
    seeds = {None, *plan.scale.seeds}
    return [r for r in rows if r.source == "paper" or r.seed in seeds]


def _row(fields: dict[str, str], place: str) -> Row:
    if None in fields or None in fields.values():
        raise UserError(
            f"{place}: not a row: expected {len(Row.model_fields)} fields; run `vidtune collect` again"
        )
    given = {k: v for k, v in fields.items() if v or Row.model_fields[k].default is not None}
    try:
        return Row.model_validate(given, strict=False)
    except ValidationError as e:
        err = e.errors()[0]
        field = f"{err['loc'][0]}: " if err["loc"] else ""
        raise UserError(
            f"{place}: {field}not a row: {err['msg']}; found {str(err['input'])[:60]!r}; run "
            "`vidtune collect` again"
        ) from None
