"""Generated clips, their lists and the data set over them: exactness, and each bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from helpers.common import REPO, one_line

from vidtune.data import records
from vidtune.data.clips import Clips, load
from vidtune.data.sampling import indices
from vidtune.data.text import EOT, SOT, tokenizer
from vidtune.data.video import probe, read_frames
from vidtune.motion import generate
from vidtune.motion.words import APPEARANCES, MIRRORED, MOTIONS, PAIRS, PARTNER, WORDS, mirrored
from vidtune.nn.pixels import normalise, resize
from vidtune.spec import GeneratedSet, Recipe, UserError
from vidtune.spec.nouns import Sampler

FILES = GeneratedSet(
    name="tiny",
    generator="motion",
    seed=3,
    clips={"train": 10, "val": 4, "test": 12},
    side=64,
    fps=16,
    seconds=(1.5, 2.0),
    stills=64,
)


def recipe(**changes: object) -> Recipe:
    base = {
        "name": "r",
        "task": "recognition",
        "lr": 1e-3,
        "weight_decay": 0.0,
        "batch": 4,
        "steps": 1,
        "warmup": 0.0,
    }
    return Recipe.model_validate({**base, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("data") / "tiny"
    generate.generate(FILES, out, show=False)
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


def edit(directory: Path, split: str, number: int, **changes: object) -> None:
    path = directory / f"{split}.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps({**json.loads(lines[number]), **changes})
    path.write_text("\n".join(lines) + "\n")


# --- the generator ---


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


# --- clips ---


def test_clips_are_the_sampled_frames_and_caching_changes_nothing(made: Path):
    rows = records.read(made, "train")
    clips = Clips(rows, recipe(sampler="segments"), 8, 32, train=True, seed=0)
    item = clips[3]
    assert item["video"].shape == (8, 3, 32, 32) and item["video"].dtype == torch.uint8
    assert item["label"] == rows[3].label and item["caption"] == rows[3].captions[0]
    assert clips.deterministic
    assert torch.equal(load(clips, "read", show=False)[3], item["video"])
    assert abs(float(normalise(item["video"]).mean())) < 3


def test_a_flip_swaps_what_it_must(made: Path):
    rows = [r for r in records.read(made, "train") if MOTIONS[r.label] in MIRRORED]
    rule = recipe(augment={"flip": 0.5}, sampler="uniform")
    plain = Clips(rows, recipe(sampler="uniform"), 4, 32, train=False, seed=0)
    clips = Clips(rows, rule, 4, 32, train=True, seed=0)
    assert not clips.deterministic
    flipped = set()
    for clips.epoch in range(6):
        for i, row in enumerate(rows):
            item, still = clips[i], plain[i]
            turned = not torch.equal(item["video"], still["video"])
            flipped.add(turned)
            expected = still["video"].flip(-1) if turned else still["video"]
            assert torch.equal(item["video"], expected)
            assert item["label"] == (row.mirrored if turned else row.label)
            assert MOTIONS[item["label"]] in item["caption"]
    assert flipped == {True, False}
    assert mirrored(mirrored(rows[0].captions[0])) == rows[0].captions[0]


def test_every_caption_is_an_item_of_retrieval_training(copy: Path):
    edit(copy, "train", 0, captions=["a red circle", "a small circle"])
    rows = records.read(copy, "train")
    clips = Clips(rows, recipe(task="retrieval"), 4, 32, train=True, seed=0)
    assert len(clips) == len(rows) + 1
    assert [clips[i]["caption"] for i in (0, 1)] == ["a red circle", "a small circle"]
    videos = load(clips, "read", show=False)
    assert torch.equal(videos[0], videos[1]) and not torch.equal(videos[1], videos[2])


def test_three_crops_are_start_middle_and_end_of_the_longer_side():
    wide = np.arange(8, dtype=np.uint8)[None, None, :, None].repeat(4, axis=1).repeat(3, axis=3)
    columns = [resize(wide, 4, crop, 3)[0, 0, 0].tolist() for crop in range(3)]
    assert columns == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]
    assert torch.equal(resize(wide, 4), resize(wide, 4, 1, 3))
    high = wide.transpose(0, 2, 1, 3)
    assert [resize(high, 4, k, 3)[0, 0, :, 0].tolist() for k in range(3)] == columns


def test_frames_may_have_a_size_of_their_own_before_the_crop(copy: Path):
    frames = np.zeros((1, 10, 30, 3), dtype=np.uint8)
    frames[:, 5:] = 200  # the lower half, whose edge the middle row of any crop shows
    crops = [resize(frames, 8, k, 3, (12, 16)) for k in range(3)]
    assert all(c.shape == (1, 3, 8, 8) for c in crops)
    assert all((c[0, 0, :3] < 20).all() and (c[0, 0, 5:] > 180).all() for c in crops)
    rows = records.read(copy, "test")
    with pytest.raises(UserError, match="resize: expected at least the model's 32 pixels"):
        Clips(rows, recipe(resize=(32, 16)), 4, 32, train=False, seed=0)


def test_views_run_over_the_clips_of_each_crop(made: Path):
    rows = records.read(made, "test")[:1]
    how = recipe(sampler="segments")
    views = [Clips(rows, how, 4, 32, False, 0, k, (3, 2))[0]["video"] for k in range(6)]
    assert torch.equal(views[0], views[2])  # square videos: crops are the same, clips are not
    assert not torch.equal(views[0], views[1]) and torch.equal(views[1], views[5])


SAMPLERS = get_args(Sampler)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_stay_inside_the_video_and_draw_what_the_generator_says(sampler):
    stride = 4 if sampler in ("stride", "mmaction") else None
    fixed = sampler in ("uniform", "clip4clip")
    how = recipe(
        task="retrieval", sampler=sampler, stride=stride, random_train_frames=not fixed, fps=None
    )
    for n in (1, 3, 8, 9, 40, 300):
        for views in (1, 3):
            for view in range(views):
                taken = indices(n, 30.0, 8, how, None, view, views)
                assert len(taken) == 8 and all(-(n < 8) <= i < n for i in taken)
                assert sampler == "clip4clip" or min(taken) >= 0
        rng = [np.random.default_rng(0) for _ in range(2)]
        drawn = [[indices(n, 30.0, 8, how, r) for _ in range(5)] for r in rng]
        assert drawn[0] == drawn[1]
        assert all(len(d) == 8 and max(d) < n for d in drawn[0])
    assert fixed == all(d == drawn[0][0] for d in drawn[0])


# --- bad lists ---


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "jumping"}, "label: 'jumping' is no class of the manifest"),
        ({"captions": ["  "]}, "captions: empty caption"),
        ({"captions": "a red circle"}, "captions: expected a list"),
        ({"video": "videos/none.mp4"}, "video: .*none.mp4 is missing"),
        ({"id": "train_00000"}, "id: 'train_00000' is on line 1 already"),
        ({"frames": 0}, "frames: expected more than 0"),
        ({"fps": "fast"}, "fps: expected frames per second; found 'fast'"),
    ],
)
def test_a_bad_line_names_file_line_and_key(changes, message, copy: Path):
    edit(copy, "train", 1, **changes)
    with pytest.raises(UserError, match=rf"train\.jsonl:2: {message}") as e:
        records.read(copy, "train")
    assert "\n" not in str(e.value)


def test_a_missing_or_torn_list_says_so(copy: Path):
    with (copy / "val.jsonl").open("a") as f:
        f.write('{"id": "x", ')
    with pytest.raises(UserError, match=r"val\.jsonl:5: not valid JSON"):
        records.read(copy, "val")
    edit(copy, "train", 0)
    row = json.loads((copy / "train.jsonl").read_text().splitlines()[0])
    (copy / "train.jsonl").write_text(json.dumps({k: row[k] for k in row if k != "fps"}))
    with pytest.raises(UserError, match=r"train\.jsonl:1: fps: missing"):
        records.read(copy, "train")
    (copy / "test.jsonl").unlink()
    with pytest.raises(UserError, match=r"test\.jsonl: No such file"):
        records.read(copy, "test")
    (copy / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json: .*no manifest; generate the data"):
        records.read(copy, "train")


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
