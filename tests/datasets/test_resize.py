"""Smaller copies of videos: frame for frame, and declared wherever a number comes from them."""

import json
import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from helpers import own_data, videos

from vidtune.data import records
from vidtune.data.video import probe, read_frames
from vidtune.datasets import check, describe, index, overview, resize
from vidtune.spec import Dataset, Resized, UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "raw").mkdir()
    videos.write(tmp_path / "raw" / "wide.mp4", frames=40, size=(300, 450))
    flat = videos.write(tmp_path / "raw" / "flat.mp4", frames=30, size=(300, 400))
    videos.turned(flat, flat, 90)
    videos.write(tmp_path / "raw" / "small.mp4", frames=20, size=(200, 300))
    facts = {"fps": 25, "seconds": 1.0, "label": None, "captions": ["a"]}
    rows = [
        {"id": n, "video": f"raw/{n}.mp4", "frames": k, **facts}
        for n, k in (("wide", 40), ("flat", 30), ("small", 20))
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:2]))
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "manifest.json").write_text('{"classes": []}')
    return tmp_path


def dataset(form: str) -> Dataset:
    resized = Resized.model_validate({"short": 240, "form": form})
    return Dataset(name="mine", task="retrieval", resized=resized)


def tree(root: Path) -> dict[Path, bytes]:
    """Every file but those of the stages' state."""
    files = [p for p in root.rglob("*") if p.is_file() and p.parent.name != "state"]
    return {p.relative_to(root): p.read_bytes() for p in files}


@pytest.mark.parametrize("form", ["h264", "jpg"])
def test_copies_have_the_same_frames_and_the_manifest_describes_them(form: str, root: Path):
    before = {r.id: r.path for r in records.read(root, "test")}
    facts = resize.run(dataset(form), root, workers=2, show=False)
    assert facts["short"] == 240 and facts["clips"] == 2 and facts["of"] == 3
    assert 0 < facts["difference"] < 3
    assert records.manifest(root)["resized"] == facts
    after = {r.id: r for r in records.read(root, "test")}
    assert after["small"].path == before["small"]
    shapes = {"wide": (240, 360), "flat": (320, 240)}  # upright
    for name, shape in shapes.items():
        copy, frames = after[name].path, after[name].frames
        assert copy.parent == root / "resized" / f"240-{form}"
        got = read_frames(copy, list(range(frames)))
        assert got.shape == (frames, *shape, 3)
        whole = read_frames(before[name], [0, 13, frames - 1]).astype(int).mean(axis=(1, 2))
        assert np.abs(got[[0, 13, frames - 1]].mean(axis=(1, 2)) - whole).max() < 4
        if form == "h264":
            assert probe(copy).frames == frames
    assert [r.path for r in records.read(root, "train")] == [after[n].path for n in shapes]
    assert not list(root.rglob(".part-*"))
    seen = tree(root)
    assert resize.run(dataset(form), root, show=False) == facts  # from the originals again
    assert tree(root) == seen


def test_a_stopped_run_goes_on_and_half_a_copy_is_none(root: Path, monkeypatch):
    lists = (root / "test.jsonl").read_bytes()
    real, calls = resize._scale, []

    def stop(*args):
        calls.append(1)
        if len(calls) == 60:
            raise KeyboardInterrupt
        return real(*args)

    monkeypatch.setattr(resize, "_scale", stop)
    with pytest.raises(KeyboardInterrupt):
        resize.run(dataset("h264"), root, workers=1, show=False)
    assert (root / "test.jsonl").read_bytes() == lists
    assert len(list(root.rglob("resized/*/*.mp4"))) == 1 and not list(root.rglob(".part-*"))
    calls.clear()
    resize.run(dataset("h264"), root, workers=1, show=False)
    assert len(calls) in (30, 40)  # the other clip's frames alone


def test_what_cannot_be_copied_is_named_and_the_lists_stay(root: Path):
    lists = (root / "test.jsonl").read_bytes()
    (root / "raw" / "wide.mp4").write_bytes(b"")
    videos.write(root / "raw" / "flat.mp4", frames=10, size=(300, 400))
    with pytest.raises(UserError) as e:
        resize.run(dataset("h264"), root, workers=2, show=False)
    lines = str(e.value).splitlines()
    assert len(lines) == 2 and "ends after 10 of 30 frames" in lines[0]
    assert "wide.mp4: cannot be read as a video" in lines[1]
    assert (root / "test.jsonl").read_bytes() == lists and "resized" not in records.manifest(root)


def test_a_copy_that_nobody_declared_is_one_line(root: Path):
    with pytest.raises(UserError, match=r"datasets\.mine\.resized: missing"):
        resize.run(Dataset(name="mine", task="retrieval"), root)


def test_a_copy_has_key_frames_enough_to_be_sought(root: Path):
    resize.run(dataset("h264"), root, workers=1, show=False)
    wide = next(r for r in records.read(root, "test") if r.id == "wide")
    with av.open(str(wide.path)) as container:
        keys = [p.is_keyframe for p in container.demux(video=0) if p.size]
    assert len(keys) == 40 and keys.count(True) >= 4  # at 25 a second


@pytest.mark.parametrize("form", ["h264", "jpg"])
@pytest.mark.parametrize("named", ["absolute", "above"])
def test_an_id_that_is_a_path_leads_nowhere_else(named: str, form: str, root: Path):
    """The original's own path without its suffix, or with it where copies are folders."""
    wide = root / "raw" / ("wide" if form == "h264" else "wide.mp4")
    name = str(wide) if named == "absolute" else f"../../raw/{wide.name}"
    for split in ("train", "test"):
        path = root / f"{split}.jsonl"
        path.write_text(path.read_text().replace('"id": "wide"', f'"id": "{name}"'))
    known = tree(root)
    resize.run(dataset(form), root, workers=1, show=False)
    place = root / "resized" / f"240-{form}"
    after = tree(root)
    originals = [k for k in known if k.suffix == ".mp4"]
    assert [after[k] for k in originals] == [known[k] for k in originals]
    assert all((root / k).is_relative_to(place) for k in after.keys() - known.keys())
    (copy,) = (r.path for r in records.read(root, "train") if r.id == name)
    assert copy.parent == place and copy.exists()


def test_a_video_of_two_ids_has_one_copy_with_all_frames(root: Path):
    rows = [json.loads(line) for line in (root / "test.jsonl").read_text().splitlines()]
    short = {**rows[0], "id": "start", "frames": 10}
    (root / "test.jsonl").write_text("".join(json.dumps(r) + "\n" for r in (*rows, short)))
    resize.run(dataset("h264"), root, workers=1, show=False)
    clips = {r.id: r for r in records.read(root, "test")}
    assert clips["start"].path == clips["wide"].path and clips["start"].frames == 10
    assert probe(clips["wide"].path).frames == 40


STOPS = ["difference", *range(4)]  # before the manifest, either list, the manifest


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("stop", STOPS)
def test_stopped_anywhere_it_goes_on_to_the_same_result(stop, again, root: Path, monkeypatch):
    if again:  # the lists name other copies already
        resize.run(dataset("jpg"), root, workers=1, show=False)
    whole = root.parent / f"{root.name}-whole"
    shutil.copytree(root, whole)
    resize.run(dataset("h264"), whole, workers=1, show=False)
    writes: list[int] = []
    real = os.replace

    def dies(*args):
        writes.append(1)
        if len(writes) > stop:
            raise KeyboardInterrupt
        return real(*args)

    def at_once(pairs):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        if stop == "difference":
            patch.setattr(resize, "_difference", at_once)
        else:
            patch.setattr(os, "replace", dies)
        with pytest.raises(KeyboardInterrupt):
            resize.run(dataset("h264"), root, workers=1, show=False)
    if stop != "difference" and stop > 0:
        assert "resized" not in records.manifest(root)
        refusing(root)
    for split in ("train", "test"):
        named = [row for row in records.rows(root / f"{split}.jsonl") if "copy_of" in row]
        if named and "resized" not in records.manifest(root):
            with pytest.raises(UserError, match=r"jsonl:1: video: a smaller copy, but manifest"):
                records.read(root, split)
    resize.run(dataset("h264"), root, workers=1, show=False)
    lists = ("train.jsonl", "test.jsonl", "manifest.json")
    assert [(root / n).read_bytes() for n in lists] == [(whole / n).read_bytes() for n in lists]
    records.check_copies(dataset("h264"), root)


def refusing(root: Path) -> None:
    with pytest.raises(UserError, match="run `vidtune data resize mine`"):
        records.check_copies(dataset("h264"), root)


def test_after_index_or_check_a_run_is_refused_until_copies_are_listed_again(tmp_path: Path):
    folder, root = own_data.write(tmp_path / "own"), tmp_path / "data" / "mine"
    videos.write(folder / "a.mp4", frames=40, size=(300, 450))
    mine = own_data.own(folder, resized={"short": 240})
    own_data.build(mine, root)
    refusing(root)
    resize.run(mine, root, workers=1, show=False)
    seen = tree(root)
    (copy,) = (p for p in seen if p.parts[0] == "resized")
    made = (root / copy).stat().st_mtime_ns
    for stage in (index, check):
        stage.run(mine, root, workers=1, show=False)
        refusing(root)
        resize.run(mine, root, workers=1, show=False)
        records.check_copies(mine, root)
        after = tree(root)
        assert {k: after[k] for k in seen} == seen
    assert (root / copy).stat().st_mtime_ns == made  # none was made anew
    videos.write(folder / "a.mp4", frames=40, size=(360, 540))
    os.utime(folder / "a.mp4", (1e9, 1e9))  # as rsync and tar put an older file in the place of one
    for stage in (index, check, resize):
        stage.run(mine, root, workers=1, show=False)
    assert (root / copy).stat().st_mtime == 1e9
    records.check_copies(own_data.own(folder), root)  # that declares none
    other = own_data.own(folder, resized={"short": 256})
    with pytest.raises(UserError, match="expected copies of short side 256 as h264"):
        records.check_copies(other, root)


def test_the_overview_asks_for_copies_between_check_and_describe(tmp_path: Path):
    folder, root = own_data.write(tmp_path / "own"), tmp_path / "data" / "mine"
    videos.write(folder / "a.mp4", frames=40, size=(300, 450))  # so that a copy is listed
    mine = own_data.own(folder, resized={"short": 240})

    def commands(dataset: Dataset = mine) -> list[str]:
        return [
            line.removeprefix("vidtune data ") for line in overview.overview(dataset, root).next
        ]

    stages = ["split mine", "index mine", "check mine", "resize mine", "describe mine"]
    assert commands() == stages and overview.overview(mine, root).stages["resize"] == "-"
    own_data.build(mine, root)
    assert commands() == stages[2:]
    for stage, left in ((check, stages[3:]), (resize, stages[4:])):
        stage.run(mine, root, workers=1, show=False)
        assert commands() == left
    describe.run(mine, root)
    assert commands() == [] and overview.overview(mine, root).stages["resize"] == "done"
    check.run(mine, root, workers=1, show=False)  # it lists the originals again
    assert commands() == ["resize mine"]
    bare = own_data.own(folder)
    assert overview.overview(bare, root).stages["resize"] == "n/a"


def test_the_overview_asks_for_copies_of_lists_made_by_hand(root: Path):
    assert overview.overview(dataset("h264"), root).next == ("vidtune data resize mine",)
    resize.run(dataset("h264"), root, workers=1, show=False)
    assert overview.overview(dataset("h264"), root).next == ()
