"""What is inside trained models, as `vidtune look` has written it for the papers' figures.

<results>/<scale>/looks/<paper>/<variant>@<seed>.npz     see `vidtune.engine.look.look.look`
"""

import io
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers.result_files import check, made_by
from vidtune.spec import Figure, UserError
from vidtune.spec.json_files import parse_json
from vidtune.spec.results import Looked

DIMENSIONS = {"frames": 5, "clip_attention": 4, "side_attention": 4, "token": 4}


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
            facts, arrays = _read(path)
            if facts["status"] == "ok":
                spec = plan.runs[run]
                digests = provenance.look_digest(spec), provenance.spec_digest(spec)
                out.append(Look(figure, run, facts, arrays, made_by(facts, *digests)["stale"]))
    return out


def _read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Facts and arrays of a file, whose sizes agree."""
    advice = "delete it and run again"
    try:
        with np.load(io.BytesIO(path.read_bytes())) as content:
            arrays = {name: content[name] for name in content.files}
        text = str(arrays.pop("facts"))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as e:
        raise UserError(
            f"{path}: not what `vidtune look` writes ({type(e).__name__}); {advice}"
        ) from None
    facts = check(parse_json(text, f"{path}: facts", advice), Looked, path)
    for name, array in arrays.items():
        frames = arrays["frames"].shape[:2] if "frames" in arrays else None
        if array.ndim != DIMENSIONS.get(name) or array.shape[:2] != frames:
            raise UserError(
                f"{path}: {name}: not of the sizes that `vidtune look` writes; {advice}"
            )
        if not np.isfinite(array).all() or len(array) != len(facts.get("clips", ())):
            raise UserError(f"{path}: {name}: not of the clips that it names; {advice}")
    return facts, arrays
