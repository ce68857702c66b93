"""The predicted memory of a paper's rows in one job."""

from functools import partial
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.cost import predict_memory
from vidtune.cost.result_cache import cached_results
from vidtune.spec import Fit, Predicting, Prediction


def predict_paper(job: Predicting, folder: Path) -> dict[str, Any]:
    """Model name -> `predict_memory.predict`, where it is printed, its fitted GB and its provenance."""
    jobs = [(row.model.name, _key(row), partial(_row, row)) for row in job.rows]
    found = cached_results(folder, jobs, "memory")
    for row in job.rows:
        result = found[row.model.name]
        result["where"] = list(row.where)
        result["fit"] = row.fit and fitted(row.fit, result["train"]["peak_gib"])
    return found


def fitted(fit: Fit, gib: float) -> dict[str, Any]:
    """A prediction on a line through printed rows, and which those were."""
    gb = fit.slope * gib + fit.offset
    return {"slope": fit.slope, "offset": fit.offset, "fitted_on": list(fit.rows), "gb": gb}


def _row(row: Prediction) -> dict[str, Any]:
    result = predict_memory.predict(row.model, row.batch, row.precision, row.attention)
    digest = provenance.memory_digest(row.model.method)
    return {**result, "provenance": provenance.stamp(digest, "fake tensors", row.model)}


def _key(row: Prediction) -> str:
    """Of what decides the prediction: neither where it is printed nor a fit."""
    asked = row.model_copy(update={"where": (), "fit": None})
    digest = provenance.memory_digest(row.model.method)
    return f"{provenance.spec_digest(asked)}-{digest}"
