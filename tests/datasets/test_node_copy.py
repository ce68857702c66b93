"""Copies on a node's disk: made once, checked, shared, and no different from what they are copies of."""

import json
import shutil
import socket
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.common import one_line
from helpers.own_data import build, own, write

from vidtune.data import records
from vidtune.datasets import node_copy
from vidtune.datasets.node_copy import STAGE, copy_split
from vidtune.spec import UserError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A dataset of three videos to train with and two to test with."""
    build(own(write(tmp_path / "mine")), tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "scratch" / "vidtune"


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the videos that are copied from here on."""
    names: list[str] = []
    copyfile = shutil.copyfile

    def noted(source: Path, part: Path) -> None:
        names.append(Path(source).name)
        copyfile(source, part)

    monkeypatch.setattr(node_copy.shutil, "copyfile", noted)
    return names


def videos(place: Path) -> list[Path]:
    return sorted(p for p in (place / "videos").rglob("*") if p.is_file())


def test_a_copy_is_the_split_in_another_place(data, place, copied):
    here = copy_split(data, "train", place, "run")
    theirs, ours = records.read(data, "train"), records.read(here, "train")
    assert [replace(r, path=Path()) for r in ours] == [replace(r, path=Path()) for r in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert one.path.is_relative_to(place) and one.path.name.endswith(other.path.name)
        assert one.path.read_bytes() == other.path.read_bytes()
    assert sorted(copied) == ["a.mp4", "b.mp4", "c.mp4"]
    assert copy_split(data, "train", place, "run") == here and len(copied) == 3
    copy_split(data, "test", place, "run")
    assert len(copied) == 5 and not list(place.glob("parts-*"))


def test_jobs_of_one_node_share_a_copy(data, place, copied, capfd):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda k: copy_split(data, "train", place, f"run {k}"), range(4)))
    assert len(set(found)) == 1 and len(copied) == 3
    assert "copy train to" in capfd.readouterr().err


def test_only_what_is_lost_or_short_is_copied_again(data, place, copied):
    here = copy_split(data, "train", place, "run")
    a, b, _ = (r.path for r in records.read(here, "train"))
    a.unlink()
    b.write_bytes(b.read_bytes()[:-1])
    copied.clear()
    assert copy_split(data, "train", place, "run") == here
    assert sorted(copied) == ["a.mp4", "b.mp4"]
    assert b.read_bytes() == (data.parent / "mine/b.mp4").read_bytes()


def test_a_killed_job_leaves_no_half_copy_and_the_next_goes_on(data, place, copied, monkeypatch):
    monkeypatch.setattr(node_copy, "AT_ONCE", 1)
    noted = node_copy.shutil.copyfile

    def killed(source: Path, part: Path) -> None:
        if len(copied) == 1:
            Path(part).write_bytes(b"half")
            raise KeyboardInterrupt
        noted(source, part)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(node_copy.shutil, "copyfile", killed)
        copy_split(data, "train", place, "run")
    assert len(videos(place)) == 1 and not (place / "lists").exists()
    assert {p.read_bytes() for p in place.glob("parts-*/*")} == {b"half"}
    copy_split(data, "train", place, "run")
    assert copied == ["a.mp4", "b.mp4", "c.mp4"] and len(videos(place)) == 3


def test_another_video_under_the_same_name_has_a_copy_of_its_own(data, place, copied):
    first = copy_split(data, "train", place, "run")
    before = records.read(first, "train")[0].path
    (data.parent / "mine/a.mp4").write_bytes(before.read_bytes() + b"more")
    manifest = data / "manifest.json"  # which is written again with every change
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"again": True}))
    second = copy_split(data, "train", place, "run")
    after = records.read(second, "train")[0].path
    assert after.read_bytes().endswith(b"more") and not before.read_bytes().endswith(b"more")
    assert copied == [*copied[:3], "a.mp4"]


def test_folders_of_frames_are_copied_whole(data, place):
    frames = data.parent / "mine/a"
    frames.mkdir()
    for k in range(3):
        (frames / f"{k:05d}.jpg").write_bytes(bytes([k]))
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    rows[0]["video"] = str(frames)
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    frames.chmod(0o555)
    copy = records.read(copy_split(data, "train", place, "run"), "train")[0].path
    assert {p.name: p.read_bytes() for p in copy.iterdir()} == {
        p.name: p.read_bytes() for p in frames.iterdir()
    }


def refused(*given: object) -> str:
    with pytest.raises(UserError) as e:
        copy_split(*given)
    return one_line(str(e.value))


def test_too_little_room_is_one_line_before_anything_is_copied(data, place, copied, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(node_copy.shutil, "disk_usage", lambda _: usage(0, 0, 1 << 30))
    said = refused(data, "train", place, "run")
    assert f"stage: {place} on {socket.gethostname()} has room for 0.0 GiB" in said
    assert "3 videos" in said and "null to read the videos where they are" in said
    assert not copied and not (place / "lists").exists()


def test_what_cannot_be_copied_is_one_line(data, place, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    said = refused(data, "train", tmp_path / "file" / "below", "run")
    assert "stage: " in said and "Not a directory" in said and socket.gethostname() in said
    monkeypatch.setattr(node_copy.shutil, "copyfile", lambda _, part: Path(part).write_bytes(b"x"))
    assert "a.mp4: changed while it was copied" in refused(data, "train", place, "run")
    monkeypatch.undo()
    (data.parent / "mine/b.mp4").unlink()
    assert "b.mp4: missing" in refused(data, "train", place, "run")
    assert "manifest.json" in refused(tmp_path / "nowhere", "train", place, "run")


def test_the_folder_is_the_nodes(monkeypatch, tmp_path):
    monkeypatch.delenv(STAGE, raising=False)
    assert node_copy.folder() is None and node_copy.staged(len) is len
    monkeypatch.setenv("SCRATCH_OF_TEST", str(tmp_path))
    monkeypatch.setenv(STAGE, "$SCRATCH_OF_TEST/job")
    assert node_copy.folder().parent == tmp_path / "job"
    for given, value in (
        ("$NOT_SET_HERE", "$NOT_SET_HERE"),
        ("here", "here"),
        ("${X}/a", "${X}/a"),
    ):
        monkeypatch.setenv(STAGE, given)
        with pytest.raises(UserError, match="stage: ") as e:
            node_copy.folder()
        assert f"{given} is {value} on {socket.gethostname()}" in one_line(str(e.value))
