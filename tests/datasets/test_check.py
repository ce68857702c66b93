"""A corpus of broken videos: each is quarantined with its reason, none is used in silence."""

import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, resource_tracker
from pathlib import Path

import numpy as np
import pytest
from helpers import videos
from helpers.common import one_line
from helpers.own_data import crashing, quarantine

from vidtune.data import records, workers
from vidtune.data.clips import Clips
from vidtune.data.video import decode, read_frames
from vidtune.datasets import check, dataset_paths, index, json_lines, split, stage_state
from vidtune.spec import Annotations, Dataset, Recipe, UserError

GOOD: dict[str, Callable[[Path], object]] = {
    "plain.mp4": lambda p: videos.write(p),
    "one.mp4": lambda p: videos.write(p, frames=1),
    "irregular.mp4": lambda p: videos.write(p, times=[k * k for k in range(60)], frames=60),
    "rotated.mp4": lambda p: videos.turned(videos.write(p, size=(32, 48)), p, 90),
    "odd.mp4": lambda p: videos.write(p, size=(35, 51), frames=30),
    "matroska.mp4": lambda p: videos.write(p.with_suffix(".mkv")).rename(p),
    "title.mp4": videos.latin,
    "mp4.avi": lambda p: videos.write(p.with_suffix(".mp4")).rename(p),
}


def written(path: Path) -> bytes:
    return videos.write(path, container={"movflags": "faststart"}).read_bytes()


def overwritten(path: Path, share: float, size: int = 400) -> None:
    data = bytearray(written(path))
    at = int(len(data) * share)
    data[at : at + size] = np.random.default_rng(0).bytes(size)
    path.write_bytes(data)


def text(path: Path) -> None:
    path.write_text("<html>This video is private</html>\n" * 99)


def playlist(path: Path) -> None:
    videos.write(path.with_name("other.mkv"))
    path.write_text("ffconcat version 1.0\nfile other.mkv\n")


# name -> (how to make it, the reason)
BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty.mp4": (lambda p: p.write_bytes(b""), "cannot be read as a video"),
    "sound.mp4": (videos.sound, "holds no video stream"),
    "no-moov.mp4": (
        lambda p: p.write_bytes(videos.write(p).read_bytes()[:2000]),
        "cannot be read as a video",
    ),
    "cut.mp4": (
        lambda p: p.write_bytes(written(p)[: p.stat().st_size * 6 // 10]),
        "cannot be read as a video",
    ),
    "cut.mkv": (
        lambda p: p.write_bytes(videos.write(p).read_bytes()[: p.stat().st_size * 6 // 10]),
        r"ends at",
    ),
    "cut.avi": (
        lambda p: p.write_bytes(videos.write(p).read_bytes()[: p.stat().st_size * 6 // 10]),
        "ends at",
    ),
    "damaged.mp4": (lambda p: overwritten(p, 0.7), "cannot be read as a video"),
    "page.mp4": (text, "cannot be read as a video"),
    "list.mp4": (playlist, "cannot be read as a video"),
}


def corpus(root: Path, good: list[str], bad: list[str]) -> Dataset:
    """A user's own folder of videos, each with its caption; listed, but not indexed yet."""
    own = root / "own"
    own.mkdir(parents=True)
    for name in good:
        GOOD[name](own / name)
    for name in bad:
        BAD[name][0](own / name)
    rows = [f"{n.replace('.', '-')},{n},a video,train" for n in (*good, *bad)]
    (own / "list.csv").write_text("id,video,caption,split\n" + "\n".join(rows) + "\n")
    dataset = Dataset(
        name="own",
        task="retrieval",
        folder=str(own),
        annotations=Annotations(format="csv", files={"all": "list.csv"}),
    )
    split.run(dataset, root / "data")
    return dataset


def recipe(**changes: object) -> Recipe:
    base = {"lr": 1e-3, "weight_decay": 0.0, "batch": 4, "steps": 1}
    return Recipe.model_validate({"name": "r", "task": "retrieval", **base, **changes})


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    place = tmp_path_factory.mktemp("corpus")
    dataset, root = corpus(place, list(GOOD), list(BAD)), place / "data"
    index.run(dataset, root, show=False)
    check.run(dataset, root, workers=2, show=False)
    return dataset, root


def test_all_broken_videos_are_quarantined_with_a_reason_and_no_other(checked):
    _, root = checked
    reasons = quarantine(root)
    assert set(reasons) == set(BAD)
    for name, (_, reason) in BAD.items():
        assert reason in reasons[name] and "\n" not in reasons[name] and len(reasons[name]) > 8, (
            name
        )
    coverage = json.loads(dataset_paths.coverage(root).read_text())["train"]
    assert coverage["listed"] == len(GOOD) + len(BAD) and coverage["decodable"] == len(GOOD)
    rows = records.read(root, "train")
    assert {r.path.name for r in rows} == set(GOOD)
    clips = Clips(rows, recipe(fps=1.0), 4, 16, train=False, seed=0)
    assert {tuple(one["video"].shape) for one in clips} == {(4, 3, 16, 16)}
    assert stage_state.load(root, "check")["quarantined"] == len(BAD)


@pytest.mark.parametrize("name", BAD)
def test_a_broken_video_that_is_read_all_the_same_is_an_error(name: str, checked):
    dataset, _ = checked
    path = Path(dataset.folder or "") / name
    try:
        whole = sum(1 for _ in decode(path))
    except UserError:
        whole = 120
    with pytest.raises(UserError):  # the last frame, and one more than it has
        read_frames(path, [0, whole - 1, whole])


def test_a_second_check_decodes_only_what_has_changed(tmp_path: Path, monkeypatch):
    dataset = corpus(tmp_path, ["plain.mp4", "one.mp4"], ["damaged.mp4", "page.mp4"])
    root = tmp_path / "data"
    index.run(dataset, root, show=False)
    seen: list[str] = []

    def noting(place, entries, workers):
        seen.extend(e["video"] for e in entries)
        return ((e, check.why_unusable(place / e["video"], e)) for e in entries)

    monkeypatch.setattr(check, "_check_all", noting)
    check.run(dataset, root, show=False)
    assert sorted(seen) == ["damaged.mp4", "one.mp4", "plain.mp4"]  # the page has no frames at all
    first = (quarantine(root), (root / "train.jsonl").read_bytes())
    with (root / "checked.jsonl").open("a") as f:
        f.write('{"id": "torn')
    check.run(dataset, root, show=False)
    assert len(seen) == 3 and first == (quarantine(root), (root / "train.jsonl").read_bytes())

    videos.write(tmp_path / "own" / "damaged.mp4", frames=50)  # fetched again
    check.run(dataset, root, show=False)
    assert len(seen) == 3, "the index knows another file"
    index.run(dataset, root, show=False)
    check.run(dataset, root, show=False)
    assert seen[3:] == ["damaged.mp4"] and set(quarantine(root)) == {"page.mp4"}
    assert {r.path.name: r.frames for r in records.read(root, "train")}["damaged.mp4"] == 50

    videos.write(tmp_path / "own" / "one.mp4", frames=9)
    os.utime(tmp_path / "own" / "one.mp4", ns=(1, 1))
    entry = next(
        e
        for e in json_lines.complete_lines(dataset_paths.index(root)).values()
        if e["video"] == "one.mp4"
    )
    assert check.why_unusable(tmp_path / "own" / "one.mp4", entry) == check.CHANGED


def test_fewer_frames_than_the_list_says_is_a_reason(tmp_path: Path):
    path = videos.write(tmp_path / "v.mp4", frames=40)
    why = check.why_unusable(path, {"frames": 60})
    assert why == "has 40 frames that can be decoded, and 60 are listed"
    assert check.why_unusable(path, {"frames": 40}) is None
    frames = videos.folder(tmp_path / "f", 6)
    assert check.why_unusable(frames, {"frames": 6}) is None
    (frames / "00004.jpg").write_bytes(b"")
    assert "holds no picture" in (check.why_unusable(frames, {"frames": 6}) or "")
    videos.jpg(frames / "00004.jpg", 3, (16, 16))
    assert check.why_unusable(frames, {"frames": 6}) == "its frames differ in size"


def test_a_video_that_takes_its_process_down_is_found(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(check, "_reason", crashing)
    monkeypatch.setattr(check, "AT_ONCE", 2)
    entries = [{"id": str(k), "video": "v"} for k in range(18)]
    reasons = {e["id"]: why for e, why in check._check_all(tmp_path, entries, 2)}
    assert list(reasons) == [e["id"] for e in entries]
    assert {name for name, why in reasons.items() if why == check.CRASHES} == {"4"}


class Dying(ProcessPoolExecutor):
    """Of its processes one dies before all parts are handed out."""

    left = 1

    def submit(self, *args, **options):
        Dying.left -= 1
        if Dying.left == -1:
            raise BrokenProcessPool
        return super().submit(*args, **options)


def test_a_process_that_dies_while_parts_are_handed_out(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(check, "_reason", crashing)
    monkeypatch.setattr(check, "AT_ONCE", 2)
    monkeypatch.setattr(check, "process_pool", lambda n: Dying(n, mp_context=get_context("spawn")))
    entries = [{"id": str(k), "video": "v"} for k in range(6)]
    reasons = [(e["id"], why) for e, why in check._check_all(tmp_path, entries, 1)]
    assert reasons == [(str(k), check.CRASHES if k == 4 else None) for k in range(6)]
    assert Dying.left < -1


class NoPool:
    """Processes of a machine on which none can be started."""

    def map(self, *_: object, **__: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_process_that_cannot_be_started_is_named(tmp_path: Path, monkeypatch):
    dataset = corpus(tmp_path, ["one.mp4"], [])
    index.run(dataset, tmp_path / "data", show=False)
    with monkeypatch.context() as m:
        m.setattr(check, "process_pool", lambda n: NoPool())
        with pytest.raises(
            UserError, match="decodes cannot be started: Broken pipe; see what"
        ) as e:
            check.run(dataset, tmp_path / "data", show=False)
        assert "free some space" not in one_line(str(e.value))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")  # of /dev/shm

    with monkeypatch.context() as m:
        m.setattr(workers, "ProcessPoolExecutor", full)
        with pytest.raises(UserError, match="/dev/shm: No space left on device; processes need"):
            check.run(dataset, tmp_path / "data", show=False)
    assert not dataset_paths.quarantine(tmp_path / "data").exists()


def test_where_every_process_dies_at_once_no_clip_is_blamed(tmp_path: Path, monkeypatch):
    dataset = corpus(tmp_path, ["one.mp4"], [])
    index.run(dataset, tmp_path / "data", show=False)
    context = get_context("spawn")
    resource_tracker.ensure_running()  # which would be that program, too
    context.set_executable("/bin/false")
    try:
        with pytest.raises(UserError, match="a process that decodes cannot be started: "):
            check.run(dataset, tmp_path / "data", workers=1, show=False)
    finally:
        context.set_executable(sys.executable)
    assert not dataset_paths.quarantine(tmp_path / "data").exists()
