"""One number per row, ours and theirs through the same code.

Published numbers, counted costs (full size) and learned results (this scale) meet here; tables,
plots, claims and the page read nothing else.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.settings import settings
from vidtune.spec import UserError, load_json, parse
from vidtune.spec.nouns import Kind, Noun

COUNTED = ("gmacs", "views", "params_total", "params_tuned", "tokens", "output_tokens")
PUBLISHED, FULL_SIZE = "published", "full size"


class Row(Noun):
    """One number. `text` is how the paper prints it; `n` is the number of test clips."""

    variant: str  # "<paper>/<variant or cited system>"
    metric: str
    value: float
    unit: str
    kind: Kind
    source: Literal["ours", "paper"]
    where: str  # the paper's table, or the results file
    scale: str  # "published", "full size" (counted), or the scale it was learned at
    seed: int | None = None
    n: int | None = None
    device: str = ""
    digest: str = ""  # of the code that decides the number
    stale: bool = False  # that code, or what was asked for, has changed since
    text: str = ""


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
                    )


def declared(plan: Plan) -> Iterator[Row]:
    """Ours beside published settings: what the configuration says."""
    for name, metric, value in settings(plan):
        m = plan.config.metrics[metric]
        yield Row(
            variant=name,
            metric=metric,
            value=value,
            unit=m.unit,
            kind=m.kind,
            source="ours",
            where=plan.config.folder,
            scale=FULL_SIZE,
            device="none (declared)",
        )


def counted(plan: Plan, name: str, cost: dict[str, Any], where: str) -> Iterator[Row]:
    """Rows of one model's `vidtune.cost.counted.cost`."""
    raw = {"gflops": cost["gmacs"] * cost["views"], "tflops": cost["gmacs"], **cost}
    model = plan.models[name]
    stamp = cost.get("provenance", {})
    fresh = (provenance.model_digest(model.method), provenance.spec_digest(model))
    for metric in ("gflops", "tflops", "params_tuned", "params_total", "output_tokens"):
        m = plan.config.metrics[metric]
        yield Row(
            variant=name,
            metric=metric,
            value=raw[metric] * m.scale,
            unit=m.unit,
            kind=m.kind,
            source="ours",
            where=where,
            scale=FULL_SIZE,
            device="none (counted on the meta device)",
            digest=stamp.get("digest", ""),
            stale=_stale(stamp, fresh),
        )


def learned(plan: Plan, name: str, result: dict[str, Any], where: str) -> Iterator[Row]:
    """Rows of one `eval.json`; none where the training diverged or ran out of memory."""
    if "official" in result:
        raise UserError(
            f"{where}: made from {result['official']}, not from our training; move it elsewhere"
        )
    run = plan.runs[name]
    stamp = result.get("provenance", {})
    fresh = (provenance.run_digest(run), provenance.spec_digest(run))
    for metric, value in result["metrics"].items():
        m = plan.config.metrics.get(metric)
        if m is None:
            raise UserError(
                f"{where}: metric {metric!r} is not declared; add it to config/metrics.yaml"
            )
        yield Row(
            variant=run.model.name,
            metric=metric,
            value=value,
            unit=m.unit,
            kind=m.kind,
            source="ours",
            where=where,
            scale=run.scale,
            seed=run.seed,
            n=result["n"],
            device=stamp.get("device", ""),
            digest=stamp.get("digest", ""),
            stale=_stale(stamp, fresh),
        )


def _stale(stamp: dict[str, Any], fresh: tuple[str, str]) -> bool:
    """Whether a result was made by other code, or of another spec, than today's."""
    return bool(stamp) and (stamp.get("digest"), stamp.get("spec")) != fresh


def cost_path(plan: Plan, paper: str) -> Path:
    return plan.root / "costs" / f"{paper}.json"


def costs(plan: Plan) -> dict[str, dict[str, Any]]:
    """Variant -> its counted costs, of the papers whose costs are there."""
    out: dict[str, dict[str, Any]] = {}
    for paper in plan.config.papers:
        path = cost_path(plan, paper)
        if path.exists():
            found = checked(path, ())
            for name in [n for n in plan.models if n in found]:
                out[name] = _with(path, found[name], COUNTED)
    return out


def eval_path(plan: Plan, name: str) -> Path:
    return plan.root / "runs" / name / "eval.json"


def gather(plan: Plan) -> list[Row]:
    """All rows of what the plan declares and the results folder holds."""
    rows = [*published(plan), *declared(plan)]
    known = costs(plan)
    for name in plan.models:
        if name in known:
            paper = name.split("/")[0]
            rows += counted(plan, name, known[name], str(cost_path(plan, paper)))
    for name in plan.runs:
        path = eval_path(plan, name)
        if path.exists():
            rows += learned(plan, name, checked(path, ("metrics", "n", "status")), str(path))
    return rows


def checked(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """A results file with the keys a reader needs, or one clear line."""
    return _with(path, load_json(path), keys)


def _with(path: Path, data: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected an object; delete the file and run again")
    missing = [k for k in keys if k not in data]
    if missing:
        raise UserError(f"{path}: {missing[0]}: missing; delete the file and run again")
    return data


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
                **fields,
                "value": float(fields["value"]),
                "seed": int(fields["seed"]) if fields["seed"] else None,
                "n": int(fields["n"]) if fields["n"] else None,
                "stale": fields["stale"] == "True",
            }
        except (TypeError, ValueError):
            raise UserError(
                f"{path}:{reader.line_num}: not a row; run `vidtune collect` again"
            ) from None
        rows.append(parse(Row, typed, path, (reader.line_num,)))
    return rows
