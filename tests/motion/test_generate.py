"""Generated files: what they hold, and each place that cannot be written."""

import json
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.common import REPO, one_line
from helpers.generated import TINY_SET

from vidtune.data import records
from vidtune.data.video import probe, read_frames
from vidtune.motion import draw, generate
from vidtune.motion.words import MOTIONS
from vidtune.spec import GeneratedSet


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tiny"
    generate.generate(TINY_SET, out)
    return out


def test_generating_again_changes_nothing_and_a_changed_request_does(tmp_path: Path):
    small = TINY_SET.model_copy(update={"clips": {"train": 2, "val": 0, "test": 2}})
    generate.generate(small, tmp_path)
    first = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*.*")}
    generate.generate(small, tmp_path)
    assert all((p.read_bytes(), p.stat().st_mtime_ns) == v for p, v in first.items())
    generate.generate(small.model_copy(update={"seed": 9}), tmp_path)
    assert records.manifest(tmp_path)["files"]["seed"] == 9
    assert (tmp_path / "test.jsonl").read_bytes() != first[tmp_path / "test.jsonl"][0]


def test_the_lists_say_what_the_files_hold(made: Path):
    manifest = records.manifest(made)
    assert manifest["counts"] == TINY_SET.clips and manifest["classes"] == list(MOTIONS)
    for split, count in TINY_SET.clips.items():
        rows = records.read(made, split)
        assert len(rows) == count
        for row in rows:
            video = probe(row.path)
            assert (video.frames, video.fps, video.height) == (row.frames, row.fps, 64)
            assert row.captions[0].split()[1:3] == list(row.appearance.values())
            assert (row.gallery is not None) == (split == "test")
            assert MOTIONS[row.label] in row.captions[0]
    assert GeneratedSet.model_validate_json(json.dumps(manifest["files"])) == TINY_SET


def test_decoded_frames_are_near_the_drawn_ones(made: Path):
    clip = draw.plan_clips(TINY_SET, "test")[0]
    drawn = draw.frames(TINY_SET, "test", [clip])[0]
    row = records.read(made, "test")[0]
    decoded = read_frames(row.path, list(range(row.frames)))
    assert np.abs(decoded.astype(int) - drawn).mean() < 6  # half the colour resolution is lost


# --- bad places ---

GENERATE = """
import os, resource, sys
from pathlib import Path
from vidtune.motion import draw, generate
from vidtune.spec import GeneratedSet, UserError
files = GeneratedSet.model_validate_json(sys.argv[4])
limit, drop, out = int(sys.argv[1]), sys.argv[2] == "drop", Path(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if drop and os.getuid() == 0:
    os.setuid(65534)
try:
    generate.generate(files, out)
except UserError as e:
    sys.exit(str(e))
"""


def generate_apart(limit: int, drop: str, out: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", GENERATE, str(limit), drop, str(out), TINY_SET.model_dump_json()],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1"},
        timeout=60,
    )


def test_a_read_only_place_is_one_line(tmp_path: Path):
    out = tmp_path / "data"
    out.mkdir()
    out.chmod(0o555)
    for place in (tmp_path, *tmp_path.parents[:3]):
        place.chmod(place.stat().st_mode | 0o055)  # reachable, or another error would come first
    done = generate_apart(0, "drop", out)
    assert done.returncode == 1
    assert "cannot write: Permission denied" in one_line(done.stderr)
    assert list(out.iterdir()) == []


def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(tmp_path: Path):
    done = generate_apart(4096, "keep", tmp_path / "data")
    assert done.returncode == 1
    assert "cannot write: File too large" in one_line(done.stderr)
    left = [p for p in (tmp_path / "data").rglob("*") if p.is_file()]
    assert not any(p.name == "manifest.json" or p.name.startswith(".") for p in left)
    for video in left:
        assert probe(video).frames > 0


def test_this_format_is_of_these_clips():
    """Drawn otherwise they would need another FORMAT: by it old videos are known, and made again."""
    clips = draw.plan_clips(TINY_SET, "train")[:4]
    looks = []
    for frames in draw.frames(TINY_SET, "train", clips):
        moved = np.abs(np.diff(frames.astype(int), axis=0)).mean()
        looks.append((len(frames), frames.mean(), frames.std(), moved))
    assert generate.FORMAT == 3
    assert zlib.crc32(repr(clips).encode()) == 1077337811
    assert looks == [
        pytest.approx((25, 72.62, 46.67, 6.61), abs=0.02),
        pytest.approx((30, 58.01, 38.47, 3.48), abs=0.02),
        pytest.approx((29, 74.86, 40.40, 5.09), abs=0.02),
        pytest.approx((25, 47.55, 40.03, 3.08), abs=0.02),
    ]
