"""Checking lists that the user wrote, and a check that cannot run; broken videos in training."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import videos
from helpers.common import REPO, one_line
from helpers.own_data import quarantine

from vidtune.data import records
from vidtune.data.clips import Clips
from vidtune.datasets import check, stage_state
from vidtune.spec import Dataset, Recipe, UserError


def test_lists_made_by_hand_are_checked_and_left_alone(tmp_path: Path):
    videos.write(tmp_path / "good.mp4", frames=20)
    (tmp_path / "bad.mp4").write_bytes(b"")
    line = {"fps": 25, "seconds": 0.8, "label": None, "captions": ["a"], "frames": 20}
    rows = [{"id": n, "video": f"{n}.mp4", **line} for n in ("good", "bad")]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "test.jsonl").write_text(text)
    dataset = Dataset(name="mine", task="retrieval")
    with pytest.raises(
        UserError, match=r"1 clips cannot be used, such as bad of test.jsonl: cannot be read"
    ):
        check.run(dataset, tmp_path, workers=1, show=False)
    assert (tmp_path / "test.jsonl").read_text() == text
    (tmp_path / "test.jsonl").write_text(json.dumps(rows[0]) + "\n")
    assert check.run(dataset, tmp_path, workers=1, show=False)["test"]["decodable"] == 1


def by_hand(root: Path, name: str, **changes: object) -> None:
    row = {"id": "1", "video": "v.mp4", "frames": 20, "fps": 25, "seconds": 0.8, "captions": ["a"]}
    row = {k: v for k, v in {**row, "label": None, **changes}.items() if v != ...}
    (root / f"{name}.jsonl").write_text(json.dumps(row) + "\n")


@pytest.mark.parametrize("broken", ["train", "test"])
def test_an_id_may_stand_in_two_lists_made_by_hand(broken: str, tmp_path: Path):
    for name in ("train", "test"):
        videos.write(tmp_path / f"{name}.mp4", frames=20)
        by_hand(tmp_path, name, video=f"{name}.mp4")
    dataset = Dataset(name="mine", task="retrieval")
    coverage = check.run(dataset, tmp_path, workers=1, show=False)
    assert [coverage[n]["decodable"] for n in ("train", "test")] == [1, 1]
    (tmp_path / f"{broken}.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=rf"1 clips cannot be used, such as 1 of {broken}\.jsonl"):
        check.run(dataset, tmp_path, workers=1, show=False)
    assert list(quarantine(tmp_path)) == [f"{broken}.mp4"]


def test_a_bad_line_made_by_hand_is_named(tmp_path: Path):
    by_hand(tmp_path, "test", video=...)
    with pytest.raises(UserError, match=r"test\.jsonl:1: video: missing"):
        check.run(Dataset(name="mine", task="retrieval"), tmp_path, show=False)


CHECK = """
import resource, sys
from pathlib import Path
from vidtune.datasets import check
from vidtune.spec import Dataset, UserError

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 10,) * 2)
    check._check_all = lambda place, entries, workers: ((e, None) for e in entries)
    try:
        check.run(Dataset(name="mine", task="retrieval"), Path(sys.argv[1]), show=False)
    except UserError as e:
        sys.exit(str(e))
"""


def test_a_full_disk_is_one_line(tmp_path: Path):
    """A limit on a file's size stands for it."""
    by_hand(tmp_path, "test", video="v/" * 1000)
    command = [sys.executable, "-c", CHECK, str(tmp_path)]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)
    line = one_line(done.stderr)
    assert done.returncode == 1 and "checked.jsonl: cannot write: File too large" in line


def test_one_process_at_a_time_checks(tmp_path: Path, monkeypatch):
    by_hand(tmp_path, "test")

    def noting(place, entries, workers):
        with (tmp_path / "state" / "lock").open("ab") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return ((e, None) for e in entries)

    monkeypatch.setattr(check, "_check_all", noting)
    check.run(Dataset(name="mine", task="retrieval"), tmp_path, show=False)
    assert stage_state.load(tmp_path, "check")["quarantined"] == 0


def test_nothing_to_check_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match=r"no clips; run `vidtune data index mine`"):
        check.run(Dataset(name="mine", task="retrieval"), tmp_path)


def recipe(**changes: object) -> Recipe:
    base = {"lr": 1e-3, "weight_decay": 0.0, "batch": 4, "steps": 1}
    return Recipe.model_validate({"name": "r", "task": "retrieval", **base, **changes})


def test_a_broken_training_video_is_an_error_or_a_counted_replacement(tmp_path: Path):
    videos.write(tmp_path / "good.mp4", frames=20)
    (tmp_path / "bad.mp4").write_bytes(b"")
    facts = {"frames": 20, "fps": 25, "seconds": 0.8, "label": None}
    rows = [{"id": n, "video": f"{n}.mp4", "captions": [n], **facts} for n in ("good", "bad")]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "manifest.json").write_text('{"classes": []}')
    clips_read = records.read(tmp_path, "train")
    strict = Clips(clips_read, recipe(), 4, 16, train=True, seed=0)
    with pytest.raises(UserError, match=r"bad\.mp4: cannot be read"):
        strict.__getitems__([0, 1])
    lenient = recipe(task="recognition", on_broken="replace", augment={"gray": 0.5, "repeats": 2})
    clips = Clips(clips_read, lenient, 4, 16, train=True, seed=0)
    batch = clips.__getitems__([0, 1])
    assert [one["caption"] for one in batch] == ["good"] * 4  # with the caption of what is shown
    assert [one["replaced"] for one in batch] == [False, False, True, False]
    assert all(one["video"].float().std() > 1 for one in batch)
    with pytest.raises(UserError, match=r"bad\.mp4"):  # a test has no other
        Clips(clips_read, lenient, 4, 16, train=False, seed=0)[1]
    with pytest.raises(UserError, match=r"bad\.mp4"):
        Clips(clips_read[1:], lenient, 4, 16, train=True, seed=0)[0]
