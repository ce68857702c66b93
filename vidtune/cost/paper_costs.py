"""Counts the costs and predicts the memory of a paper's models, each in one job that loads torch once.

A result is kept under a key of what was asked for and of the code that computes it, so that a
changed variant costs its own seconds only. Results that the job no longer asks for are removed.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.cost import count, predict_memory
from vidtune.spec import Costing, Fit, Model, Predicting, Prediction, load_json, write_json


def count_paper(job: Costing, folder: Path) -> dict[str, Any]:
    """Maps model name to `count.cost` with its provenance; `folder` keeps earlier results, by paper."""
    counts: dict[str, dict[str, Any]] = {}  # one entry for all models that cost the same

    def compute(model: Model) -> dict[str, Any]:
        key = count.cost_key(model)
        if key not in counts:
            counts[key] = count.cost(model)
        stamp = provenance.stamp(provenance.model_digest(model.method), "meta", model)
        return {**counts[key], "views": model.n_views, "provenance": stamp}

    digests = {m.name: provenance.model_digest(m.method) for m in job.models}
    return _kept("cost", folder / job.paper, {m.name: m for m in job.models}, digests, compute)


def predict_paper(job: Predicting, folder: Path) -> dict[str, Any]:
    """Maps model name to `predict_memory.predict` with its provenance, where the memory is printed
    and the fitted GB; `folder` keeps earlier predictions, by paper."""

    def compute(row: Prediction) -> dict[str, Any]:
        result = predict_memory.predict(row.model, row.batch, row.precision, row.attention)
        digest = provenance.memory_digest(row.model.method)
        return {**result, "provenance": provenance.stamp(digest, "fake tensors", row.model)}

    # `where` and `fit` change no prediction
    specs = {r.model.name: r.model_copy(update={"where": (), "fit": None}) for r in job.rows}
    digests = {r.model.name: provenance.memory_digest(r.model.method) for r in job.rows}
    out = _kept("memory", folder / job.paper, specs, digests, compute)
    for row in job.rows:
        result = out[row.model.name]
        result["where"] = list(row.where)
        result["fit"] = row.fit and fitted(row.fit, result["train"]["peak_gib"])
    return out


def fitted(fit: Fit, gib: float) -> dict[str, Any]:
    """Returns a prediction's GB on a fit, with the fit and the rows that it was fitted on."""
    gb = fit.slope * gib + fit.offset
    return {"slope": fit.slope, "offset": fit.offset, "fitted_on": list(fit.rows), "gb": gb}


def _kept(
    label: str,
    folder: Path,
    specs: dict[str, Any],
    digests: dict[str, str],
    compute: Callable[[Any], dict[str, Any]],
) -> dict[str, Any]:
    """Maps names to results: those kept under "<digest of spec>-<digest of code>.json", and new
    ones, each of which prints a line that begins with `label`."""
    paths = {n: folder / f"{provenance.spec_digest(s)}-{digests[n]}.json" for n, s in specs.items()}
    out = {}
    for k, (name, path) in enumerate(paths.items(), 1):
        if not path.exists():
            start = time.perf_counter()
            write_json(path, compute(specs[name]))
            seconds = time.perf_counter() - start
            print(f"{label} {k}/{len(paths)} {name} {seconds:.2f} s", flush=True)
        out[name] = load_json(path)
    for path in set(folder.glob("*.json")) - set(paths.values()):
        path.unlink()
    return out
