"""What can be wrong in lists and in a folder of videos, each in one line that names the place."""

import json
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import miniature
import pytest
from conftest import REPO, one_line

from vidtune.data import annotations, catalogue, describe, index, records, split
from vidtune.spec import Annotations, Dataset, UserError

CLIPS = {"train": ("a", "b", "c"), "test": ("d", "e")}


def own(folder: Path, **changes: object) -> Dataset:
    """A user's dataset: videos and lists in one folder."""
    base = {
        "name": "mine",
        "task": "retrieval",
        "folder": str(folder),
        "annotations": {"format": "csv", "files": {"train": "train.csv", "test": "test.csv"}},
    }
    return Dataset.model_validate_json(json.dumps({**base, **changes}))


RECOGNITION = {"task": "recognition", "classes": 2}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five clips with a caption and a label each."""
    out = tmp_path / "clips"
    out.mkdir()
    for name, clips in CLIPS.items():
        rows = [f"{c},{c}.mp4,caption of {c},{'xy'[k % 2]}" for k, c in enumerate(clips)]
        (out / f"{name}.csv").write_text("\n".join(["id,video,caption,label", *rows, ""]))
        for c in clips:
            (out / f"{c}.mp4").write_bytes(miniature.video())
    return out


def build(dataset: Dataset, root: Path) -> dict[str, dict[str, int]]:
    split.run(dataset, root)
    return index.run(dataset, root, show=False)


def refused(dataset: Dataset, root: Path) -> str:
    with pytest.raises(UserError) as e:
        build(dataset, root)
    assert not (root / "manifest.json").exists()
    return one_line(str(e.value))


def test_a_folder_and_a_csv_are_a_dataset(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    coverage = build(own(folder), root)
    assert coverage["train"] == {"expected": 3, "listed": 3, "present": 3, "decodable": 3}
    found = records.read(root, "train")
    assert [(r.id, r.captions) for r in found] == [(c, (f"caption of {c}",)) for c in "abc"]
    describe.run(own(folder), root)
    assert "| videos there | 3 | 2 |" in (root / "describe" / "table.md").read_text()

    labelled = tmp_path / "data" / "labelled"
    build(own(folder, **RECOGNITION), labelled)
    assert records.manifest(labelled)["classes"] == ["x", "y"]
    assert [r.label for r in records.read(labelled, "train")] == [0, 1, 0]


def test_a_jsonl_may_have_columns_of_its_own_and_all_splits(folder: Path, tmp_path: Path):
    lines = [
        {"file": f"{c}.mp4", "texts": [f"one {c}", f"two {c}"], "part": name}
        for name, clips in CLIPS.items()
        for c in clips
    ]
    (folder / "all.jsonl").write_text("\r\n".join(map(json.dumps, lines)))
    about = {
        "format": "jsonl",
        "files": {"all": "all.jsonl"},
        "columns": {"video": "file", "caption": "texts", "split": "part"},
    }
    root = tmp_path / "data" / "mine"
    build(own(folder, annotations=about), root)
    assert [r.captions for r in records.read(root, "test")] == [
        ("one d", "two d"),
        ("one e", "two e"),
    ]


# --- how files are written ---


def test_crlf_bom_quotes_commas_and_line_ends_in_captions(folder: Path, tmp_path: Path):
    rows = ['a,a.mp4,"a man, who says ""hi"""', 'b,b.mp4,"two\r\nlines"', "c,c.mp4,caf\u00e9 "]
    text = "\r\n".join(["id,video,caption", *rows, "", ""])
    (folder / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    root = tmp_path / "data" / "mine"
    build(own(folder), root)
    captions = [r.captions for r in records.read(root, "train")]
    assert captions == [('a man, who says "hi"',), ("two\r\nlines",), ("caf\u00e9",)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"id,caption\na,caf\xe9\n", r"train\.csv:2: not UTF-8 \(byte 0xe9\)"),
        (b"id,text\na,hi\n", r"train\.csv:1: column 'caption': missing; found id, text"),
        (b"clip,caption\na,hi\n", r"train\.csv:2: no column id or video; found clip, caption"),
        (b"id,caption,caption\na,hi,ho\n", r"train\.csv:1: column 'caption': there twice"),
        (b"id,caption\na,hi, there\n", r"train\.csv:2: expected 2 fields; found 3; quote fields"),
        (b'id,caption\na,"hi\n', r"train\.csv:2: not valid csv .*mend the quotes"),
        (b"id,caption\na,hi\nb, \n", r"train\.csv:3: caption: empty"),
        (b"id,caption\n,hi\n", r"train\.csv:2: id, video: both missing"),
        (b"id,caption\na,hi\na,hi\n", r"train\.csv:3: id: 'a' has this caption already"),
        (b"id,caption\n", r"mine: train: the list is empty"),
        (b"", r"train\.csv:1: column 'caption': missing; found nothing"),
    ],
)
def test_a_bad_csv_names_file_line_and_column(
    content: bytes, message: str, folder: Path, tmp_path: Path
):
    (folder / "train.csv").write_bytes(content)
    with pytest.raises(UserError, match=message) as e:
        split.run(own(folder), tmp_path / "data" / "mine")
    one_line(str(e.value))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"train\.jsonl:2: not valid JSON"),
        ("[1]", r"train\.jsonl:2: expected an object; found list"),
        ('{"id": "b"}', r"train\.jsonl:2: caption: missing"),
        ('{"id": "b", "caption": []}', r"train\.jsonl:2: caption: missing"),
        ('{"id": "b", "caption": 3}', r"train\.jsonl:2: caption: expected text; found 3"),
        ('{"id": 7, "caption": "x"}', r"train\.jsonl:2: id: expected text; found 7"),
    ],
)
def test_a_bad_jsonl_names_file_line_and_key(line: str, message: str, folder: Path, tmp_path: Path):
    (folder / "train.jsonl").write_text('{"id": "a", "caption": "x"}\n' + line + "\n")
    about = {"format": "jsonl", "files": {"train": "train.jsonl"}}
    with pytest.raises(UserError, match=message) as e:
        split.run(own(folder, annotations=about), tmp_path / "data" / "mine")
    one_line(str(e.value))


# --- what they say ---


def test_an_unknown_label_and_a_missing_one(folder: Path, tmp_path: Path):
    (folder / "test.csv").write_text("id,label\nd,x\ne,z\n")
    line = refused(own(folder, **RECOGNITION), tmp_path / "data" / "mine")
    assert "test.csv:3: label: 'z' is no class; known: x, y" in line
    (folder / "test.csv").write_text("id,label\nd,x\ne,\n")
    line = refused(own(folder, **RECOGNITION), tmp_path / "data" / "mine")
    assert "test.csv:3: label: missing; recognition needs one" in line


def test_a_clip_twice_in_a_list(folder: Path, tmp_path: Path):
    (folder / "test.csv").write_text("id,label\nd,x\nd,y\n")
    line = refused(own(folder, **RECOGNITION), tmp_path / "data" / "mine")
    assert "test.csv:3: id: 'd' is at" in line and "test.csv:2 already; remove one" in line


def test_a_clip_in_two_splits_is_a_leak(folder: Path, tmp_path: Path):
    (folder / "test.csv").write_text("id,video,caption\nd,d.mp4,x\na,a.mp4,x\n")
    line = refused(own(folder), tmp_path / "data" / "mine")
    assert line.startswith("mine: 1 clips are in train and in test, 'a' among them: a leak")
    # under another id it is found out by its file
    (folder / "test.csv").write_text("id,video,caption\nd,d.mp4,x\nz,a.mp4,x\n")
    line = refused(own(folder), tmp_path / "data" / "mine")
    assert "a.mp4 is 'a' of train and 'z' of test: a leak" in line


def test_counts_that_are_not_the_declared_ones(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    line = refused(own(folder, expected={"train": 4}), root)
    assert "mine: train: the list has 3 clips; expected 4 (config/datasets.yaml" in line
    build(own(folder, expected={"train": 4}, tolerance=0.25), root)
    line = refused(own(folder, expected={"val": 1}), tmp_path / "data" / "other")
    assert "annotations.files.val: missing; 1 are expected" in line
    line = refused(own(folder, task="recognition", classes=3), tmp_path / "data" / "third")
    assert "the lists have 2 classes; expected 3" in line
    swapped = {"x": "w", "w": "x"}
    line = refused(own(folder, **RECOGNITION, mirrored=swapped), tmp_path / "data" / "fourth")
    assert "mirrored: 'w' is no class of the lists" in line


# --- videos ---


def test_a_caption_without_video_lowers_the_coverage(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    (folder / "b.mp4").unlink()
    coverage = build(own(folder), root)
    assert coverage["train"] == {"expected": 3, "listed": 3, "present": 2, "decodable": 2}
    assert [r.id for r in records.read(root, "train")] == ["a", "c"]


def test_a_video_without_caption_is_counted_and_used_by_nobody(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    (folder / "z.mp4").write_bytes(miniature.video())
    build(own(folder), root)
    describe.run(own(folder), root)
    assert "1 videos are in no list" in (root / "describe" / "index.html").read_text()
    assert all(r.id != "z" for s in CLIPS for r in records.read(root, s))


def test_a_listed_id_without_caption_is_an_error(tmp_path: Path):
    mini = miniature.msvd()
    lists = tmp_path / "annotations"
    lists.mkdir()
    for name, clips in mini.truth.items():
        (lists / f"{name}_list.txt").write_text("".join(f"{c}\n" for c in clips))
    words = {c: [["x"]] for clips in mini.truth.values() for c in clips if c != "KPPCwmU5OHQ_0_7"}
    (lists / "raw-captions.pkl").write_bytes(pickle.dumps(words))
    about = {s: f"{s}_list.txt" for s in mini.truth} | {"captions": "raw-captions.pkl"}
    dataset = Dataset(
        name="msvd", task="retrieval", annotations=Annotations(format="msvd", files=about)
    )
    with pytest.raises(
        UserError, match=r"test_list\.txt:1: 'KPPCwmU5OHQ_0_7' has no caption in raw"
    ):
        annotations.read(dataset, lists)


def test_a_pickle_that_would_run_a_program_is_refused(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (shutil.rmtree, (str(tmp_path / "victim"),))

    (tmp_path / "victim").mkdir()
    for name in ("train_list.txt", "raw-captions.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": Evil()}) if "pkl" in name else b"a\n")
    about = Annotations(
        format="msvd", files={"train": "train_list.txt", "captions": "raw-captions.pkl"}
    )
    with pytest.raises(UserError, match=r"not a pickle of plain lists and texts .*shutil\.rmtree"):
        annotations.read(Dataset(name="msvd", task="retrieval", annotations=about), tmp_path)
    assert (tmp_path / "victim").is_dir()


def test_two_files_that_could_be_one_clip(folder: Path, tmp_path: Path):
    (folder / "more").mkdir()
    shutil.copy(folder / "a.mp4", folder / "more" / "a.mp4")
    (folder / "train.csv").write_text("id,caption\na,x\nb,x\nc,x\n")
    root = tmp_path / "data" / "mine"
    assert "a.mp4 and more/a.mp4 could be its video" in refused(own(folder), root)
    build(own(folder, prefer="more"), root)
    assert records.read(root, "train")[0].path == folder / "more" / "a.mp4"
    (folder / "train.csv").write_text("id,video,caption\na,a.mp4,x\nb,b.mp4,x\nc,c.mp4,x\n")
    build(own(folder), root)  # a whole path says which
    assert records.read(root, "train")[0].path == folder / "a.mp4"


def test_a_broken_video_is_in_no_list_and_its_reason_on_the_page(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    (folder / "b.mp4").write_bytes(b"")
    (folder / "c.mp4").write_bytes(b"no video at all")
    coverage = build(own(folder), root)
    assert coverage["train"] == {"expected": 3, "listed": 3, "present": 3, "decodable": 1}
    assert [r.id for r in records.read(root, "train")] == ["a"]
    describe.run(own(folder), root)
    assert "2 videos cannot be read: " in (root / "describe" / "index.html").read_text()


def test_quarantined_clips_leave_the_lists_and_the_coverage(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    build(own(folder), root)
    row = {"id": "a", "video": "a.mp4", "reason": "a frame is damaged"}
    catalogue.write_lines(root / "quarantine.jsonl", [row])
    coverage = index.run(own(folder), root, show=False)
    assert coverage["train"]["decodable"] == 2 and coverage["train"]["present"] == 3
    assert [r.id for r in records.read(root, "train")] == ["b", "c"]


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
    (folder / "test.csv").unlink()
    with pytest.raises(UserError, match=r"test\.csv: no such file \(its test\); put it there"):
        split.run(own(folder), root)


# --- stopped and resumed ---

INDEX = """
import os, signal, sys, threading
from pathlib import Path
from vidtune.data import index
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
        before, have = have, len(index.earlier(root / "index.jsonl"))
        assert have >= before
        if rng.random() < 0.5:  # the machine may go down in the middle of a line
            with (root / "index.jsonl").open("ab") as f:
                f.write(b'{"id": "v1", "vid')
    assert have == MANY
    index.run(dataset, root, show=False)
    for name in OUTPUTS:
        assert (root / name).read_bytes() == (whole / name).read_bytes()


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
    done = as_nobody("vidtune.data.index", "data", "index", "mine", "--config", config)
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
    (found,) = json.loads(out)
    assert found["coverage"] == {"train": [3, 3], "test": [2, 2]}
    assert found["next"] == ["vidtune data check mine"]


def test_with_nothing_there_status_names_every_file_and_command(
    tmp_path: Path, config: Path, vidtune
):
    main = config / "config.yaml"
    main.write_text(main.read_text().replace("data: data ", f"data: {tmp_path / 'data'} "))
    code, out, err = vidtune("data", "status", "--config", config)
    assert code == 0 and not err
    names = {line.split()[0] for line in out.split("\n\n")[0].splitlines()[1:]}
    assert names == {*miniature.MAKERS, "msrvtt-7k", "motion"}
    assert "train 0/9,000, test 0/1,000" in out and "YouTubeClips.tar" in out
    for name in miniature.MAKERS:
        assert f"vidtune data extract {name}\n" in out
    assert f"by hand, into {tmp_path / 'data' / 'ssv2' / 'downloads'}" in out
    code, _, err = vidtune("data", "status", "imagenet", "--config", config)
    assert code == 2 and "imagenet: not a dataset; known: msrvtt" in one_line(err)
