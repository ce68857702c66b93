"""A folder that Snakemake can run in."""

from pathlib import Path

import pytest
from helpers.common import REPO


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the repository's files, whose results are its own."""
    place = tmp_path / "place"
    place.mkdir()
    for name in ("Snakefile", "config", "profiles", "vidtune", "workflow", "environment.yml"):
        (place / name).symlink_to(REPO / name)
    return place
