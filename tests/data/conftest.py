"""The small generated dataset on disk."""

from pathlib import Path

import pytest
from helpers.generated import TINY_SET

from vidtune.motion import generate


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tiny"
    generate.generate(TINY_SET, out)
    return out


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """Lists to be damaged; the videos are the shared ones."""
    out = tmp_path / "tiny"
    out.mkdir()
    (out / "videos").symlink_to(made / "videos")
    for name in ("manifest.json", "train.jsonl", "val.jsonl", "test.jsonl"):
        (out / name).write_bytes((made / name).read_bytes())
    return out
