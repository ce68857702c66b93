"""Counted costs and predicted memory of every declared variant, computed once in a test session.

A folder that all workers of the session share keeps them as `results/<scale>` would:
`costs/kept/<paper>` and `memory/kept/<paper>`.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from helpers.common import plan_at


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """The temporary folder of the session, which with pytest-xdist is the parent of a worker's."""
    base = factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def results(kind: str, folder: Path) -> dict[str, Any]:
    """Model name -> its result of `kind` ("costs" or "memory"); kept in `folder`."""
    from vidtune.cost.paper_costs import count_paper, predict_paper

    compute = {"costs": count_paper, "memory": predict_paper}[kind]
    plan, out = plan_at(Path("nowhere")), {}
    specs = plan.specs()
    with FileLock(folder / f"{kind}.lock"):
        for paper in plan.config.papers:
            out |= compute(specs[plan.spec_of(kind, paper)], folder / kind / "kept" / paper)
    return out


def seed(folder: Path, destination: Path) -> None:
    """Copy what is kept in `folder` to the results of a scale, so that its rules need not count."""
    for kind in ("costs", "memory"):
        shutil.copytree(folder / kind / "kept", destination / kind / "kept")
