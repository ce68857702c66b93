"""Smaller copies of videos: frame for frame, and told of wherever a number comes from them."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
import videos

from vidtune.data import records, resize
from vidtune.data.video import probe, read_frames
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


@pytest.mark.parametrize("form", ["h264", "jpg"])
def test_copies_have_the_same_frames_and_the_manifest_tells_of_them(form: str, root: Path):
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
    with pytest.raises(UserError, match="name copies already"):
        resize.run(dataset(form), root, show=False)


def test_a_stopped_run_goes_on_and_half_a_copy_is_none(root: Path, monkeypatch):
    lists = (root / "test.jsonl").read_bytes()
    real, calls = resize._image, []

    def stop(x):
        calls.append(1)
        if len(calls) == 60:
            raise KeyboardInterrupt
        return real(x)

    monkeypatch.setattr(resize, "_image", stop)
    with pytest.raises(KeyboardInterrupt):
        resize.run(dataset("h264"), root, workers=1, show=False)
    assert (root / "test.jsonl").read_bytes() == lists
    assert len(list(root.rglob("resized/*/*.mp4"))) == 1 and not list(root.rglob(".part-*"))
    calls.clear()
    resize.run(dataset("h264"), root, workers=1, show=False)
    assert len(calls) in (30, 40)  # the other clip's frames alone


def test_what_cannot_be_copied_is_said_and_nothing_is_switched(root: Path):
    lists = (root / "test.jsonl").read_bytes()
    (root / "raw" / "wide.mp4").write_bytes(b"")
    videos.write(root / "raw" / "flat.mp4", frames=10, size=(300, 400))
    with pytest.raises(UserError) as e:
        resize.run(dataset("h264"), root, workers=2, show=False)
    said = str(e.value).splitlines()
    assert len(said) == 2 and "ends after 10 of 30 frames" in said[0]
    assert "wide.mp4: cannot be read as a video" in said[1]
    assert (root / "test.jsonl").read_bytes() == lists and "resized" not in records.manifest(root)


def test_a_copy_that_nobody_declared_is_one_line(root: Path):
    with pytest.raises(UserError, match=r"datasets\.mine\.resized: missing"):
        resize.run(Dataset(name="mine", task="retrieval"), root)


def test_a_copy_has_key_frames_enough_to_be_sought(root: Path):
    resize.run(dataset("h264"), root, workers=1, show=False)
    with av.open(str(root / "resized" / "240-h264" / "wide.mp4")) as container:
        keys = [p.is_keyframe for p in container.demux(video=0) if p.size]
    assert len(keys) == 40 and keys.count(True) >= 4  # at 25 a second
