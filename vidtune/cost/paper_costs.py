"""Counts the costs and predicts the memory of a paper's models, each in one job that loads torch once.

A result is kept under a key of what was asked for and of the code that computes it, so that a
changed variant costs its own seconds only. Results that the job no longer asks for are removed.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.cost import count, predict_memory
from vidtune.spec import Costing, Fit, Model, Predicting, Prediction, load_json, parse, write_json
from vidtune.spec.read import M
from vidtune.spec.results import Counted, Predicted

KEPT = re.compile(r"[0-9a-f]{12}-[0-9a-f]{12}\.json")  # digest of a spec, digest of code


def count_paper(job: Costing, folder: Path) -> dict[str, Any]:
    """Map model name to `count.cost` with its provenance; `folder` keeps earlier results, by paper."""
    counts: dict[str, dict[str, Any]] = {}  # one entry for all models that cost the same

    def compute(model: Model, digest: str) -> dict[str, Any]:
        key = count.cost_key(model)
        if key not in counts:
            counts[key] = count.cost(model)
        stamp = provenance.stamp(digest, "meta", model)
        return {**counts[key], "views": model.n_views, "provenance": stamp}

    asked = {m.name: (m, provenance.model_digest(m.method)) for m in job.models}
    return _kept("cost", Counted, folder / job.paper, asked, compute)


def predict_paper(job: Predicting, folder: Path) -> dict[str, Any]:
    """Map model name to `predict_memory.predict` with its provenance, where the memory is printed
    and the fitted GB; `folder` keeps earlier predictions, by paper."""

    def compute(row: Prediction, digest: str) -> dict[str, Any]:
        how = (row.batch, row.precision, row.attention)
        result = predict_memory.predict(row.model, *how, checkpoint=row.checkpoint)
        return {**result, "provenance": provenance.stamp(digest, "fake tensors", row.model)}

    asked = {}
    for row in job.rows:
        spec = row.model_copy(update={"where": (), "fit": None})  # they change no prediction
        asked[row.model.name] = spec, provenance.memory_digest(row.model.method)
    out = _kept("memory", Predicted, folder / job.paper, asked, compute)
    for row in job.rows:
        result = out[row.model.name]
        result["where"] = list(row.where)
        result["fit"] = row.fit and fitted(row.fit, result["train"]["peak_gib"])
    return out


def fitted(fit: Fit, gib: float) -> dict[str, Any]:
    """Return a prediction's GB on a fit, with the fit and the rows that it was fitted on."""
    gb = fit.slope * gib + fit.offset
    return {"slope": fit.slope, "offset": fit.offset, "fitted_on": list(fit.rows), "gb": gb}


def _kept(
    label: str,
    kind: type[M],
    folder: Path,
    asked: dict[str, tuple[Any, str]],
    compute: Callable[[Any, str], dict[str, Any]],
) -> dict[str, Any]:
    """Map the names of `asked`, which has a spec and the digest of its code for each, to results.

    They are kept under names as `KEPT`, each as its model `kind`; a new one prints a line that begins
    with `label`. Other files of the folder are left alone.
    """
    out, paths = {}, set()
    for k, (name, (spec, digest)) in enumerate(asked.items(), 1):
        path = folder / f"{provenance.spec_digest(spec)}-{digest}.json"
        if not path.exists():
            start = time.perf_counter()
            write_json(path, compute(spec, digest))
            seconds = time.perf_counter() - start
            print(f"{label} {k}/{len(asked)} {name} {seconds:.2f} s", flush=True)
        out[name] = load_json(path)
        parse(kind, out[name], path)
        paths.add(path)
    for path in set(folder.glob("*.json")) - paths:
        if KEPT.fullmatch(path.name):
            path.unlink()
    return out
