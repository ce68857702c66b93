"""Counted costs of every declared variant, computed once in a test session."""

import os
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from helpers.common import plan_at


def counted(factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Model name -> counted costs, and the folder that keeps them as `results/<scale>/costs/kept`.

    With pytest-xdist the workers share the folder, in the parent of their temporary folders.
    """
    from vidtune.cost.paper_costs import count_paper

    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "counted"
    plan, out = plan_at(Path("nowhere")), {}
    specs = plan.specs()
    with FileLock(f"{folder}.lock"):
        for paper in plan.config.papers:
            out |= count_paper(specs[plan.spec_of("costs", paper)], folder)
    return out, folder
