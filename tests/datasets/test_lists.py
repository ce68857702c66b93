"""What can be wrong in lists, each in one line that names file, line and column."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from helpers import miniature
from helpers.common import one_line
from helpers.own_data import CLIPS, RECOGNITION, build, own, refused, write

from vidtune.data import records
from vidtune.datasets import describe, readers, split
from vidtune.spec import Annotations, Dataset, UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "clips")


def test_a_folder_and_a_csv_are_a_dataset(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    counts = build(own(folder), root)
    assert counts["train"] == {"expected": 3, "listed": 3, "present": 3, "decodable": 3}
    clips = records.read(root, "train")
    assert [(r.id, r.captions) for r in clips] == [(c, (f"caption of {c}",)) for c in "abc"]
    describe.run(own(folder), root)
    assert "| videos present | 3 | 2 |" in (root / "describe" / "table.md").read_text()

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
    declared = {
        "format": "jsonl",
        "files": {"all": "all.jsonl"},
        "columns": {"video": "file", "caption": "texts", "split": "part"},
    }
    root = tmp_path / "data" / "mine"
    build(own(folder, annotations=declared), root)
    assert [r.captions for r in records.read(root, "test")] == [
        ("one d", "two d"),
        ("one e", "two e"),
    ]


def test_a_clip_whose_video_is_absent_takes_no_other_by_its_id(folder: Path, tmp_path: Path):
    (folder / "train.csv").write_text("id,video,caption\na,b.mp4,one\nb,gone.mp4,two\nc,,three\n")
    counts = build(own(folder), tmp_path / "data" / "mine")
    assert counts["train"]["listed"] == 3 and counts["train"]["present"] == 2
    lines = (tmp_path / "data/mine/train.jsonl").read_text().splitlines()
    clips = {row["id"]: Path(row["video"]).name for row in map(json.loads, lines)}
    assert clips == {"a": "b.mp4", "c": "c.mp4"}


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
        (b'id,caption\na,"hi\n', r"train\.csv:2: not valid csv .*fix the quotes"),
        (b"id,caption\na,hi\nb, \n", r"train\.csv:3: caption: empty"),
        (b"id,caption\n,hi\n", r"train\.csv:2: id, video: both missing"),
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
    declared = {"format": "jsonl", "files": {"train": "train.jsonl"}}
    with pytest.raises(UserError, match=message) as e:
        split.run(own(folder, annotations=declared), tmp_path / "data" / "mine")
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
    # under another id its file reveals it
    (folder / "test.csv").write_text("id,video,caption\nd,d.mp4,x\nz,a.mp4,x\n")
    line = refused(own(folder), tmp_path / "data" / "mine")
    assert "a.mp4 is 'a' of train and 'z' of test: a leak" in line


def test_counts_that_are_not_the_declared_ones(folder: Path, tmp_path: Path):
    root = tmp_path / "data" / "mine"
    line = refused(own(folder, expected={"train": 4}), root)
    assert "mine: train: the list has 3 clips; expected 4 (config/datasets.yaml" in line
    build(own(folder, expected={"train": 4}, tolerance=0.25), root)
    with pytest.raises(ValueError, match=r"expected\.val: annotations.files has no such list"):
        own(folder, expected={"val": 1})
    line = refused(own(folder, task="recognition", classes=3), tmp_path / "data" / "third")
    assert "the lists have 2 classes; expected 3" in line
    swapped = {"x": "w", "w": "x"}
    line = refused(own(folder, **RECOGNITION, mirrored=swapped), tmp_path / "data" / "fourth")
    assert "mirrored: 'w' is no class of the lists" in line


def test_a_listed_id_without_caption_is_an_error(tmp_path: Path):
    mini = miniature.msvd()
    lists = tmp_path / "annotations"
    lists.mkdir()
    for name, clips in mini.truth.items():
        (lists / f"{name}_list.txt").write_text("".join(f"{c}\n" for c in clips))
    words = {c: [["x"]] for clips in mini.truth.values() for c in clips if c != "KPPCwmU5OHQ_0_7"}
    (lists / "raw-captions.pkl").write_bytes(pickle.dumps(words))
    declared = {s: f"{s}_list.txt" for s in mini.truth} | {"captions": "raw-captions.pkl"}
    dataset = Dataset(
        name="msvd", task="retrieval", annotations=Annotations(format="msvd", files=declared)
    )
    with pytest.raises(
        UserError, match=r"test_list\.txt:1: 'KPPCwmU5OHQ_0_7' has no caption in raw"
    ):
        readers.read_lists(dataset, lists)


def test_an_id_of_another_kind_is_one_line(tmp_path: Path):
    (tmp_path / "labels.json").write_text('{"Moving something": "0"}')
    (tmp_path / "train.json").write_text('[{"id": ["1"], "template": "Moving [something]"}]')
    declared = Annotations(
        format="something_v2", files={"train": "train.json", "labels": "labels.json"}
    )
    with pytest.raises(UserError, match=r"train\.json: 0: id: expected str or int; found"):
        readers.read_lists(Dataset(name="s", task="recognition", annotations=declared), tmp_path)


def test_a_pickle_that_would_run_a_program_is_refused(tmp_path: Path):
    class Evil:
        def __reduce__(self):
            return (shutil.rmtree, (str(tmp_path / "victim"),))

    (tmp_path / "victim").mkdir()
    for name in ("train_list.txt", "raw-captions.pkl"):
        (tmp_path / name).write_bytes(pickle.dumps({"a": Evil()}) if "pkl" in name else b"a\n")
    declared = Annotations(
        format="msvd", files={"train": "train_list.txt", "captions": "raw-captions.pkl"}
    )
    with pytest.raises(UserError, match=r"not a pickle of plain lists and texts .*shutil\.rmtree"):
        readers.read_lists(Dataset(name="msvd", task="retrieval", annotations=declared), tmp_path)
    assert (tmp_path / "victim").is_dir()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        (
            {"format": "csv", "files": {"training": "a.csv"}},
            "files.training: unknown; csv has train",
        ),
        ({"format": "msvd", "files": {"train": "a.txt"}}, "files.captions: missing; msvd needs it"),
        (
            {"format": "csv", "files": {"all": "a.csv", "test": "b.csv"}},
            "give a list of each split",
        ),
        ({"format": "csv", "files": {"labels": "l.csv"}}, "give a list of each split"),
        (
            {"format": "lsmdc", "files": {"train": "a.csv"}, "columns": {"id": "clip"}},
            "are for csv and jsonl; lsmdc has its own",
        ),
        (
            {"format": "csv", "files": {"train": "a.csv"}, "columns": {"text": "caption"}},
            "columns.text: unknown; known: id, video, caption, label, split",
        ),
    ],
)
def test_a_bad_declaration_names_its_key(declared, message, config: Path, vidtune):
    with (config / "datasets.yaml").open("a") as f:
        f.write(f"  mine:\n    task: retrieval\n    annotations: {json.dumps(declared)}\n")
    code, _, err = vidtune("data", "status", "--config", config)
    assert code == 2
    line = one_line(err)
    assert "datasets.yaml:" in line and "datasets.mine.annotations" in line and message in line
