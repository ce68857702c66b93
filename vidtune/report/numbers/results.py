"""Our numbers: what the results folder holds, read into rows.

Counted and predicted costs are of the papers' full size, measured ones of this machine or of the
reference folder, learned ones of the scale at hand.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers import measurements, predictions
from vidtune.report.numbers.result_files import checked, having, stale
from vidtune.report.numbers.rows import FULL_SIZE, Row, declared, published
from vidtune.spec import Metric, Model, UserError

COUNTED = ("gmacs", "views", "params_total", "params_tuned", "tokens", "output_tokens")


def counted(plan: Plan, name: str, cost: dict[str, Any], where: str) -> Iterator[Row]:
    """Rows of one model's `vidtune.cost.count.cost`."""
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
            stale=stale(stamp, fresh),
            condition=_convention(m, model),
        )


def _convention(m: Metric, model: Model) -> str:
    """What a count counts: the metric's convention; of GFLOPs over how many views."""
    views = f"{model.views} views of {model.frames} frames" if m.name == "gflops" else ""
    return "; ".join(filter(None, [m.source, views]))


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
            coverage=_covered(where, result.get("coverage", {})),
            device=stamp.get("device", ""),
            digest=stamp.get("digest", ""),
            stale=stale(stamp, fresh),
            condition=_seen(result),
        )


def _covered(where: str, splits: dict[str, dict[str, int]]) -> float | None:
    """The smaller of the shares of the training and the test clips; None: not known."""
    try:
        return min((min(1.0, c["used"] / c["expected"]) for c in splits.values()), default=None)
    except (AttributeError, KeyError, TypeError, ZeroDivisionError):
        raise UserError(
            f"{where}: coverage: expected used and expected of each split; evaluate the run again"
        ) from None


def _seen(result: dict[str, Any]) -> str:
    """How what was learned from differs from the dataset's own videos."""
    said = []
    if copy := result.get("resized"):
        said.append(
            f"{copy['clips']:,} of {copy['of']:,} videos as copies with a short side of "
            f"{copy['short']} pixels ({copy['form']}, {copy['quality']}), which a model sees "
            f"{copy['difference']} grey levels off"
        )
    if broken := result.get("replaced"):
        said.append(f"{broken:,} times another clip in place of a broken one in training")
    return "; ".join(said)


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
                out[name] = having(path, found[name], COUNTED)
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
    rows += predictions.gather(plan)
    rows += measurements.gather(plan)
    for name in plan.runs:
        path = eval_path(plan, name)
        if path.exists():
            rows += learned(plan, name, checked(path, ("metrics", "n", "status")), str(path))
    return rows
