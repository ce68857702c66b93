"""Generated clips: exact, told apart by motion alone, and each place that cannot be written."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.common import REPO, one_line
from helpers.generated import FILES, recipe

from vidtune.data import records
from vidtune.data.sampling import indices
from vidtune.data.text import EOT, SOT, tokenizer
from vidtune.data.video import probe, read_frames
from vidtune.motion import generate
from vidtune.motion.words import APPEARANCES, MOTIONS, PAIRS, PARTNER, WORDS
from vidtune.spec import GeneratedSet, UserError


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tiny"
    generate.generate(FILES, out, show=False)
    return out


def test_the_same_seed_draws_the_same_pixels_and_another_seed_others():
    clips = generate.plan_clips(FILES, "train")[:3]
    first, again = (generate.frames_of(FILES, "train", clips) for _ in range(2))
    alone = generate.frames_of(FILES, "train", clips[1:2])  # neighbours do not matter
    other = FILES.model_copy(update={"seed": 4})
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert np.array_equal(first[1], alone[0])
    assert generate.plan_clips(other, "train") != generate.plan_clips(FILES, "train")


@pytest.mark.parametrize("pair", PAIRS)
def test_a_reversed_clip_is_a_forward_clip_played_backwards(pair):
    forward, backward = (
        generate.frames_of(FILES, "val", [generate.Clip(7, APPEARANCES[5], name, None)])[0]
        for name in pair
    )
    assert np.array_equal(forward, backward[::-1])
    assert not np.array_equal(forward, backward)


def test_test_clips_differ_in_captions_and_half_of_them_only_in_motion():
    files = FILES.model_copy(update={"clips": {"test": 320}})
    clips = generate.plan_clips(files, "test")
    captions = [c.appearance.caption(c.motion) for c in clips]
    assert len(set(captions)) == len(captions) == 320
    groups: dict[int, list[generate.Clip]] = {}
    for clip in clips:
        if clip.group is not None:
            groups.setdefault(clip.group, []).append(clip)
    assert len(groups) == 80
    for a, b in groups.values():
        assert a.appearance == b.appearance and a.motion == PARTNER[b.motion]
    counts = [sum(c.motion == name for c in clips) for name in MOTIONS]
    assert max(counts) - min(counts) <= 1


def test_too_many_test_clips_are_refused():
    files = FILES.model_copy(update={"clips": {"test": 10_000}})
    with pytest.raises(UserError, match=r"clips\.test: expected at most 384"):
        generate.plan_clips(files, "test")


def test_the_mean_frame_does_not_tell_a_pair_apart():
    """Order-free statistics of the frames that samplers pick: ridge regression, per pair."""
    files = FILES.model_copy(update={"clips": {"train": 800, "test": 0}, "side": 16, "fps": 16})
    clips = generate.plan_clips(files, "train")
    videos = generate.frames_of(files, "train", clips)
    for sampler, frames in (("segments", 8), ("uniform", 12)):
        rule = recipe(sampler=sampler)
        means = np.array(
            [v[indices(len(v), 16, frames, rule, None)].mean(axis=0) for v in videos]
        )  # (N, S, S, 3)
        x = means.mean(axis=-1).reshape(len(clips), 8, 2, 8, 2).mean(axis=(2, 4)).reshape(-1, 64)
        right = 0
        for pair in PAIRS:
            rows = np.array([i for i, c in enumerate(clips) if c.motion in pair])
            y = np.array([1.0 if clips[i].motion == pair[0] else -1.0 for i in rows])
            z = (x[rows] - x[rows].mean(0)) / x[rows].std(0)
            fit, held = slice(0, len(rows) // 2), slice(len(rows) // 2, None)
            gram = z[fit].T @ z[fit] + 10 * np.eye(64)
            w = np.linalg.solve(gram, z[fit].T @ y[fit])
            right += int(((z[held] @ w > 0) == (y[held] > 0)).sum())
        assert 0.40 < right / 400 < 0.60  # 4 standard deviations


def test_captions_stay_within_the_vocabulary_and_fit():
    captions = [a.caption(m) for a in APPEARANCES for m in (None, *MOTIONS)]
    assert {w for c in captions for w in c.split()} == set(WORDS)
    ids = tokenizer("motion", 16)(captions)
    assert ids.shape == (len(captions), 16)
    assert (ids.max(dim=1).values == EOT).all() and (ids[:, 0] == SOT).all()


def test_stills_carry_no_motion_and_are_drawn_again_alike():
    images, captions, kinds = generate.stills(FILES, 20, 0, 32)
    again, _, _ = generate.stills(FILES, 20, 0, 32)
    assert images.shape == (20, 3, 32, 32) and images.dtype == np.uint8
    assert np.array_equal(images, again)
    assert not any(m in c for c in captions for m in MOTIONS)
    assert all(len(v) == 20 for v in kinds.values())


def test_generating_again_changes_nothing_and_a_changed_request_does(tmp_path: Path):
    small = FILES.model_copy(update={"clips": {"train": 2, "val": 0, "test": 2}})
    generate.generate(small, tmp_path, show=False)
    first = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in tmp_path.rglob("*.*")}
    generate.generate(small, tmp_path, show=False)
    assert all((p.read_bytes(), p.stat().st_mtime_ns) == v for p, v in first.items())
    generate.generate(small.model_copy(update={"seed": 9}), tmp_path, show=False)
    assert records.manifest(tmp_path)["files"]["seed"] == 9
    assert (tmp_path / "test.jsonl").read_bytes() != first[tmp_path / "test.jsonl"][0]


def test_the_lists_say_what_the_files_hold(made: Path):
    about = records.manifest(made)
    assert about["counts"] == FILES.clips and about["classes"] == list(MOTIONS)
    assert about["test_share_differing_only_in_motion"] == 0.5
    for split, count in FILES.clips.items():
        rows = records.read(made, split)
        assert len(rows) == count
        for row in rows:
            video = probe(row.path)
            assert (video.frames, video.fps, video.height) == (row.frames, row.fps, 64)
            assert row.captions[0].split()[1] == row.appearance["size"]
            assert MOTIONS[row.label] in row.captions[0]
    assert GeneratedSet.model_validate_json(json.dumps(about["files"])) == FILES


def test_decoded_frames_are_near_the_drawn_ones(made: Path):
    clip = generate.plan_clips(FILES, "test")[0]
    drawn = generate.frames_of(FILES, "test", [clip])[0]
    row = records.read(made, "test")[0]
    decoded = read_frames(row.path, list(range(row.frames)))
    assert np.abs(decoded.astype(int) - drawn).mean() < 6  # half the colour resolution is lost


# --- bad places ---

GENERATE = """
import os, resource, sys
from pathlib import Path
from vidtune.motion import generate
from vidtune.spec import GeneratedSet, UserError
files = GeneratedSet.model_validate_json(sys.argv[4])
limit, drop, out = int(sys.argv[1]), sys.argv[2] == "drop", Path(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if drop and os.getuid() == 0:
    os.setuid(65534)
try:
    generate.generate(files, out, show=False)
except UserError as e:
    sys.exit(str(e))
"""


def generate_apart(limit: int, drop: str, out: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", GENERATE, str(limit), drop, str(out), FILES.model_dump_json()],
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
