"""The counted costs of a paper's models in one job: the import of torch is paid once.

Each model's result is kept under a digest of what it is and of the code that counts it, so that a
changed variant costs its own seconds only.
"""

import time
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.cost import counted
from vidtune.spec import Costing, Model, load_json, write_json


def table(job: Costing, kept: Path) -> dict[str, Any]:
    """Model name -> `counted.cost` with its provenance; `kept` is the folder of earlier results."""
    out, counts = {}, {}
    for k, model in enumerate(job.models, 1):
        path = kept / f"{_key(model)}.json"
        if not path.exists():
            start = time.perf_counter()
            stamp = provenance.stamp(provenance.model_digest(model.method), "meta", model)
            key = counted.alike(model)
            if key not in counts:
                counts[key] = counted.cost(model)
            write_json(path, {**counts[key], "views": model.n_views, "provenance": stamp})
            spent = time.perf_counter() - start
            print(f"cost {k}/{len(job.models)} {model.name} {spent:.2f} s", flush=True)
        out[model.name] = load_json(path)
    for path in set(kept.glob("*.json")) - {kept / f"{_key(m)}.json" for m in job.models}:
        path.unlink()  # of variants that are no more
    return out


def _key(model: Model) -> str:
    return f"{provenance.spec_digest(model)}-{provenance.model_digest(model.method)}"
