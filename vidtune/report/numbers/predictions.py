"""Predicted memory as rows: the GiB as predicted, and apart from them GB on a line fitted to print.

<results>/<scale>/memory/<paper>.json holds each model's peak of a training step and of inference
under one named convention of precision, attention, batch and frames.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers.conditions import format_conditions
from vidtune.report.numbers.result_files import checked, having, stale
from vidtune.report.numbers.rows import FULL_SIZE, Row, our_row

CONVENTION = ("batch", "precision", "attention")
RAW, FITTED, INFERENCE = "train_gib", "train_gb_fit", "infer_gib"


def memory_path(plan: Plan, paper: str) -> Path:
    return plan.root / "memory" / f"{paper}.json"


def gather(plan: Plan) -> Iterator[Row]:
    """Rows of all papers whose memory has been predicted."""
    for paper in plan.config.papers:
        path = memory_path(plan, paper)
        if path.exists():
            predicted = checked(path, ())
            for name in [n for n in plan.models if n in predicted]:
                memory = having(path, predicted[name], ("convention",))
                yield from rows(plan, name, memory, str(path))


def rows(plan: Plan, name: str, memory: dict[str, Any], where: str) -> Iterator[Row]:
    """Rows of one model's predicted memory; what was not predicted has no row."""
    under = format_conditions({k: memory.get(k) for k in ("batch", "frames", "precision")})
    under = f"{memory['convention']}; {under}"
    fit = memory.get("fit") or {}
    values = {
        RAW: (memory.get("train") or {}).get("peak_gib"),
        FITTED: fit.get("gb"),
        INFERENCE: (memory.get("inference") or {}).get("peak_gib"),
    }
    stamp = memory.get("provenance", {})
    model = plan.models[name]
    fresh = (provenance.memory_digest(model.method), provenance.spec_digest(model))
    for metric, value in values.items():
        m = plan.config.metrics.get(metric)
        if m is not None and value is not None:
            yield our_row(
                m,
                variant=name,
                value=value,
                where=where,
                scale=FULL_SIZE,
                device="none (predicted on fake tensors)",
                digest=stamp.get("digest", ""),
                stale=stale(stamp, fresh) or (bool(stamp) and _changed(plan, name, memory)),
                condition=f"{under}; {_fitted(fit)}" if metric == FITTED else under,
            )


def _changed(plan: Plan, name: str, memory: dict[str, Any]) -> bool:
    """Whether the paper's file asks for something else by now."""
    paper, row = name.split("/")
    declared = plan.config.papers[paper]
    fit, asked = declared.fit, declared.measured_under().get(row)
    if asked is None:
        return True
    line = (fit.slope, fit.offset) if fit else None
    old = memory.get("fit")
    return [memory.get(k) for k in CONVENTION] != [getattr(asked, k) for k in CONVENTION] or (
        (old["slope"], old["offset"]) if old else None
    ) != line


def _fitted(fit: dict[str, Any]) -> str:
    rows = ", ".join(fit["fitted_on"])
    return f"fitted on {rows}: {fit['slope']:.4g} x GiB + {fit['offset']:.3g} GB"
