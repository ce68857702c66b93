"""Counts all models of a paper in one job, so that torch is imported once."""

from functools import partial
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.cost import count
from vidtune.cost.result_cache import cached_results
from vidtune.spec import Costing, Model


def count_paper(job: Costing, folder: Path) -> dict[str, Any]:
    """Maps model name to `count.cost` with its provenance; `folder` keeps earlier results."""
    counts: dict[Any, dict[str, Any]] = {}
    jobs = [(model.name, _key(model), partial(_counted, model, counts)) for model in job.models]
    return cached_results(folder, jobs, "cost")


def _counted(model: Model, counts: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """Counts a model, unless `counts` has one that costs the same."""
    key = count.cost_key(model)
    if key not in counts:
        counts[key] = count.cost(model)
    stamp = provenance.stamp(provenance.model_digest(model.method), "meta", model)
    return {**counts[key], "views": model.n_views, "provenance": stamp}


def _key(model: Model) -> str:
    return f"{provenance.spec_digest(model)}-{provenance.model_digest(model.method)}"
