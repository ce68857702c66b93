"""What is inside trained models, as `vidtune look` has written it for the papers' figures.

<results>/<scale>/looks/<paper>/<variant>@<seed>.npz     see `vidtune.engine.look.look.look`
"""

import io
import json
import zipfile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers.result_files import made_by, require_keys
from vidtune.spec import Figure, UserError


class Look(NamedTuple):
    figure: Figure
    run: str  # "<paper>/<variant>@<seed>"
    facts: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    stale: bool  # made by other code than today's


def read_looks(plan: Plan, draws: str) -> list[Look]:
    """What was found for the figures of one kind; only of jobs that have run, on models whose training
    did not fail. Raises `UserError` at a file that cannot be read."""
    out = []
    for paper in plan.config.papers.values():
        for figure in (f for f in paper.figures if f.draws == draws):
            run = plan.looks.get((paper.name, draws))
            path = plan.root / "looks" / f"{run}.npz"
            if run is None or not path.exists():
                continue
            try:
                with np.load(io.BytesIO(path.read_bytes())) as content:
                    arrays = {name: content[name] for name in content.files}
                facts = json.loads(str(arrays.pop("facts")))
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
                raise UserError(
                    f"{path}: not what `vidtune look` writes ({type(e).__name__}); delete it and run again"
                ) from None
            require_keys(path, facts, ("status", "provenance"))
            if facts["status"] == "ok":
                spec = plan.runs[run]
                digests = provenance.look_digest(spec), provenance.spec_digest(spec)
                out.append(Look(figure, run, facts, arrays, made_by(facts, *digests)["stale"]))
    return out
