"""Finding, probing and counting videos; resuming an interrupted run; the commands."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import miniature
from helpers.common import REPO, one_line
from helpers.own_data import CLIPS, build, own, refused, write

from vidtune.data import records
from vidtune.datasets import check, describe, index, json_lines, overview, split
from vidtune.spec import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "clips")


# --- videos ---


def test_a_caption_without_video_lowers_the_coverage(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    (folder / "b.mp4").unlink()
    counts = build(own(folder), root)
    assert counts["train"] == {"expected": 3, "listed": 3, "present": 2, "decodable": 2}
    assert [r.id for r in records.read(root, "train")] == ["a", "c"]


def test_a_video_without_caption_is_counted_and_used_by_nobody(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    (folder / "z.mp4").write_bytes(miniature.video())
    build(own(folder), root)
    describe.run(own(folder), root)
    assert "1 videos are in no list" in (root / "describe" / "index.html").read_text()
    assert all(r.id != "z" for s in CLIPS for r in records.read(root, s))


def test_two_files_that_could_be_one_clip(folder: Path, tmp_path: Path):
    (folder / "more").mkdir()
    shutil.copy(folder / "a.mp4", folder / "more" / "a.mp4")
    (folder / "train.csv").write_text("id,caption\na,x\nb,x\nc,x\n")
    root = tmp_path / "data" / "mine"
    assert "a.mp4 and more/a.mp4 could be its video" in refused(own(folder), root)
    build(own(folder, prefer="more"), root)
    assert records.read(root, "train")[0].path == folder / "more" / "a.mp4"
    (folder / "train.csv").write_text("id,video,caption\na,a.mp4,x\nb,b.mp4,x\nc,c.mp4,x\n")
    build(own(folder), root)  # a whole path decides
    assert records.read(root, "train")[0].path == folder / "a.mp4"


def test_a_broken_video_is_in_no_list_and_its_reason_on_the_page(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    (folder / "b.mp4").write_bytes(b"")
    (folder / "c.mp4").write_bytes(b"no video at all")
    counts = build(own(folder), root)
    assert counts["train"] == {"expected": 3, "listed": 3, "present": 3, "decodable": 1}
    assert [r.id for r in records.read(root, "train")] == ["a"]
    describe.run(own(folder), root)
    assert "2 videos cannot be read: " in (root / "describe" / "index.html").read_text()


def test_quarantined_clips_leave_the_lists_and_the_coverage(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    build(own(folder), root)
    row = {"id": "a", "video": "a.mp4", "reason": "a frame is damaged"}
    json_lines.write_lines(root / "quarantine.jsonl", [row])
    counts = index.run(own(folder), root, show=False)
    assert counts["train"]["decodable"] == 2 and counts["train"]["present"] == 3
    assert [r.id for r in records.read(root, "train")] == ["b", "c"]


def test_a_quarantined_clip_whose_file_is_mended_is_listed_again(folder: Path, tmp_path: Path):
    root, dataset = tmp_path / "data" / "mine", own(folder)
    whole = (folder / "b.mp4").read_bytes()
    (folder / "b.mp4").write_bytes(miniature.video(frames=30)[:-200])
    build(dataset, root)
    check.run(dataset, root, workers=1, show=False)
    listed = [r.id for r in records.read(root, "train")]
    (folder / "b.mp4").write_bytes(whole)
    index.run(dataset, root, show=False)
    assert [r.id for r in records.read(root, "train")] == ["a", "b", "c"] != listed
    stages = overview.overview(dataset, root).stages
    assert (stages["index"], stages["check"]) == ("done", "-")  # it was not decoded yet


def test_lists_that_were_edited_are_to_be_read_again(folder: Path, tmp_path: Path):
    root, dataset = tmp_path / "data" / "mine", own(folder)
    build(dataset, root)
    assert overview.overview(dataset, root).stages["split"] == "done"
    text = (folder / "train.csv").read_text()
    (folder / "train.csv").write_text(text.replace("caption of a", "another caption"))
    one = overview.overview(dataset, root)
    assert one.stages["split"] == "-" and "vidtune data split mine" in one.next
    split.run(dataset, root)
    one = overview.overview(dataset, root)
    assert (one.stages["split"], one.stages["index"]) == ("done", "-")


def test_no_videos_no_lists_or_the_wrong_order_of_stages(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    with pytest.raises(
        UserError, match=r"splits\.json: not done yet; run `vidtune data split mine`"
    ):
        index.run(own(folder), root, show=False)
    split.run(own(folder), root)
    with pytest.raises(UserError, match=r"coverage\.json: not there yet; run `vidtune data index"):
        describe.run(own(folder), root)
    with pytest.raises(UserError, match="declaration has changed since; run `vidtune data split"):
        index.run(own(folder, evaluate_on="val"), root, show=False)
    for video in folder.glob("*.mp4"):
        video.unlink()
    with pytest.raises(UserError, match=r"holds none of the 5 listed videos \(a\.mp4 \.\.\.\)"):
        index.run(own(folder), root, show=False)
    (folder / "videos/a").mkdir(parents=True)
    (folder / "videos/a/00001.jpg").touch()
    with pytest.raises(
        UserError, match=r"videos/a is a folder of frames: give .* mine the frame_rate"
    ):
        index.run(own(folder), root, show=False)
    (folder / "test.csv").unlink()
    with pytest.raises(UserError, match=r"test\.csv: no such file \(its test\); put it there"):
        split.run(own(folder), root)


# --- stopped and resumed ---

INDEX = """
import os, signal, sys, threading
from pathlib import Path
from vidtune.datasets import index
from vidtune.spec import Dataset

dataset = Dataset.model_validate_json(sys.argv[1])
lock, left = threading.Lock(), int(sys.argv[4])

def dies(function):
    def counted(*args, **options):
        global left
        with lock:
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **options)
    return counted

if sys.argv[3] == "probing":
    index.probe = dies(index.probe)
else:
    os.replace = dies(os.replace)
index.run(dataset, Path(sys.argv[2]), workers=2, show=False)
"""
MANY = 240
OUTPUTS = ("index.jsonl", "train.jsonl", "coverage.json", "manifest.json")


def test_index_killed_at_random_points_goes_on_to_the_same_result(tmp_path: Path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for k in range(MANY):
        (folder / f"v{k}.mp4").write_bytes(miniature.video() if k % 7 else b"broken")
    (folder / "train.csv").write_text("id,caption\n" + "".join(f"v{k},c\n" for k in range(MANY)))
    dataset = own(folder, annotations={"format": "csv", "files": {"train": "train.csv"}})
    whole, root = tmp_path / "whole" / "mine", tmp_path / "data" / "mine"
    build(dataset, whole)
    split.run(dataset, root)
    rng, have = random.Random(0), 0
    points = [("probing", rng.randrange(14)) for _ in range(16)]
    for during, left in [*points, *(("writing", n) for n in range(4))]:
        job = [sys.executable, "-c", INDEX, dataset.model_dump_json(), str(root), during, str(left)]
        done = subprocess.run(job, env={**os.environ, "PYTHONPATH": str(REPO)}, timeout=60)
        assert done.returncode == -signal.SIGKILL and not (root / "manifest.json").exists()
        before, have = have, len(json_lines.complete_lines(root / "index.jsonl"))
        assert have >= before
        if rng.random() < 0.5:  # the machine may go down in the middle of a line
            with (root / "index.jsonl").open("ab") as f:
                f.write(b'{"id": "v1", "vid')
    assert have == MANY
    index.run(dataset, root, show=False)
    for name in OUTPUTS:
        assert (root / name).read_bytes() == (whole / name).read_bytes()


def unreadable(path: Path) -> None:
    raise UserError(f"{path}: cannot be read as a video: {os.strerror(errno.ESTALE)}; mend it")


def test_a_changed_video_is_probed_again_and_the_others_are_not(
    folder: Path, tmp_path, monkeypatch
):
    root = tmp_path / "data" / "mine"
    build(own(folder), root)
    (folder / "b.mp4").write_bytes(miniature.video(frames=17))
    probed: list[str] = []
    probe = index.probe
    monkeypatch.setattr(index, "probe", lambda path: probed.append(path.name) or probe(path))
    index.run(own(folder), root, show=False)
    assert probed == ["b.mp4"]
    monkeypatch.setattr(index, "probe", unreadable)
    (folder / "b.mp4").write_bytes(miniature.video(frames=17))
    index.run(own(folder), root, show=False)
    assert len(records.read(root, "train")) == 2
    monkeypatch.setattr(index, "probe", probe)
    index.run(own(folder), root, show=False)  # size and time of the file are the same
    assert [r.frames for r in records.read(root, "train")] == [9, 17, 9]


def test_a_folder_that_cannot_be_read_is_one_line(folder: Path, tmp_path: Path, as_nobody, config):
    with (config / "datasets.yaml").open("a") as f:
        f.write(
            f"  mine:\n    task: retrieval\n    folder: {folder}\n"
            "    annotations: {format: csv, files: {train: train.csv}}\n"
        )
    data = tmp_path / "data"
    main = config / "config.yaml"
    main.write_text(main.read_text().replace("data: data ", f"data: {data} "))
    split.run(
        own(folder, annotations={"format": "csv", "files": {"train": "train.csv"}}), data / "mine"
    )
    (folder / "more").mkdir(mode=0o700)
    for place in (data, data / "mine", data / "mine" / "state"):
        place.chmod(0o777)
    done = as_nobody("vidtune.datasets.index", "data", "index", "mine", "--config", config)
    assert done.returncode == 2
    assert "more: Permission denied; expected a readable folder" in one_line(done.stderr)


# --- the verbs ---


def test_one_entry_makes_a_folder_a_dataset_that_every_verb_knows(
    folder: Path, tmp_path: Path, config: Path, vidtune
):
    with (config / "datasets.yaml").open("a") as f:
        f.write(
            f"  mine:\n    task: retrieval\n    folder: {folder}\n"
            "    annotations: {format: csv, files: {train: train.csv, test: test.csv}}\n"
        )
    main = config / "config.yaml"
    main.write_text(main.read_text().replace("data: data ", f"data: {tmp_path / 'data'} "))
    code, out, _ = vidtune("data", "status", "mine", "--config", config)
    assert code == 0 and "vidtune data split mine" in out and "fetch mine" not in out
    for stage in ("split", "index", "describe"):
        code, out, err = vidtune("data", stage, "mine", "--config", config)
        assert code == 0, err
    code, out, _ = vidtune("data", "status", "mine", "--config", config, "--json")
    (state,) = json.loads(out)
    assert state["coverage"] == {"train": [3, 3], "test": [2, 2]}
    assert state["next"] == ["vidtune data check mine"]


def test_with_nothing_there_status_names_every_file_and_command(
    tmp_path: Path, config: Path, vidtune
):
    main = config / "config.yaml"
    main.write_text(main.read_text().replace("data: data ", f"data: {tmp_path / 'data'} "))
    code, out, err = vidtune("data", "status", "--config", config)
    assert code == 0 and not err
    names = {line.split()[0] for line in out.split("\n\n")[0].splitlines()[1:]}
    assert names == {*miniature.MAKERS, "msrvtt-7k", "motion", "motion-retrieval"}
    assert "train 0/9,000, test 0/1,000" in out and "YouTubeClips.tar" in out
    for name in miniature.MAKERS:
        assert f"vidtune data extract {name}\n" in out
    assert f"by hand, into {tmp_path / 'data' / 'ssv2' / 'downloads'}" in out
    code, _, err = vidtune("data", "status", "imagenet", "--config", config)
    assert code == 2 and "imagenet: not a dataset; known: msrvtt" in one_line(err)


# --- how much of it a run has seen ---


def test_a_run_carries_how_much_of_its_data_was_there(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    (folder / "b.mp4").unlink()
    (folder / "e.mp4").write_bytes(b"broken")
    build(own(folder), root)
    assert records.count_coverage(own(folder), root) == {
        "train": {"used": 2, "expected": 3},
        "test": {"used": 1, "expected": 2},
    }
    (root / "coverage.json").unlink()  # lists that somebody made by hand
    assert records.count_coverage(own(folder), root)["train"] == {"used": 2, "expected": 2}
    declared = own(folder, expected={"train": 4})
    assert records.count_coverage(declared, root)["train"] == {"used": 2, "expected": 4}
    counted = own(folder, expected={"train": 5}, expected_of="captions")
    assert records.count_coverage(counted, root)["train"] == {"used": 2, "expected": 5}
    (root / "train.jsonl").write_text("{\n")
    with pytest.raises(UserError, match=r"train\.jsonl:1: not valid JSON .*fix or remove the line"):
        records.count_coverage(own(folder), root)
