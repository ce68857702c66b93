"""Which file a name of a list means, however both are written; what is told where none is found."""

import json
import os
import shutil
import unicodedata
from pathlib import Path

import pytest
from helpers import miniature
from helpers.common import one_line
from helpers.own_data import own, write

from vidtune.data import records
from vidtune.data.find_videos import find_videos
from vidtune.datasets import index, readers, split
from vidtune.datasets.readers import Listed
from vidtune.datasets.threads import AHEAD, in_threads
from vidtune.spec import Dataset, UserError

COMPOSED, APART = (unicodedata.normalize(form, "Caf\u00e9 \u1e69") for form in ("NFC", "NFD"))

# name -> (the file below the folder, how a list names it)
FOUND = {
    "of find": ("s/a.mp4", "./s/a.mp4"),
    "of find, bare": ("a.mp4", "./a.mp4"),
    "two slashes": ("s/a.mp4", "s//a.mp4"),
    "dot inside": ("s/a.mp4", "s/./a"),
    "slash at the end": ("s/a.mp4", "s/a.mp4/"),
    "dots inside": ("s/a.mp4", "t/../s/a.mp4"),
    "composed": (f"{APART}.mp4", COMPOSED),
    "apart": (f"s/{COMPOSED}.mp4", f"s/{APART}.mp4"),
    "composed folder": (f"{APART}/a.mp4", f"{COMPOSED}/a"),
    "two extensions": ("s/xyz.mp4.mkv", "xyz"),
    "two extensions, path": ("s/xyz.mp4.webm", "s/xyz"),
    "three extensions": ("xyz.f137.mp4.part.mkv", "xyz.f137.mp4.part"),
    "capitals": ("xyz.MP4.MKV", "xyz"),
    "both": (f"{APART}.avi.mp4", COMPOSED),
    "spaces": ("air drumming/x y.mp4", "air drumming/x y"),
    "number": ("clip 12", "clip 12"),
    "dots": ("v1.0.mp4", "v1.0"),
    "no extension": ("abc", "abc"),
    "emoji": ("\U0001f469\u200d\U0001f467.mp4", "\U0001f469\u200d\U0001f467"),
    "hidden": (".a.mp4", ".a.mp4"),
    "hidden folder": (".s/a.mp4", ".s/a.mp4"),
}


def put(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", FOUND)
def test_a_name_leads_to_its_file(case: str, tmp_path: Path):
    file, name = FOUND[case]
    put(tmp_path / file)
    put(tmp_path / "other.mp4")
    found = find_videos(tmp_path, frames=False).video_of(Listed(name.strip("/"), (name,)))
    assert found is not None and (tmp_path / found).samefile(tmp_path / file)


@pytest.mark.parametrize(
    ("files", "name", "file"),
    [
        (["xyz.mp4", "xyz.mp4.mkv"], "xyz", "xyz.mp4"),  # the plainer name
        (["xyz.mp4", "xyz.mp4.mkv"], "xyz.mp4.mkv", "xyz.mp4.mkv"),
        ([f"{COMPOSED}.mp4", f"{APART}.mp4"], APART, f"{APART}.mp4"),  # as it is written
        (["v1.mp4", "v1.0.mp4"], "v1", "v1.mp4"),
        (["s/a.mp4", "a.mp4"], "./a.mp4", "a.mp4"),  # a whole path
    ],
)
def test_of_several_the_one_that_is_written(files, name, file, tmp_path: Path):
    for one in files:
        put(tmp_path / one)
    assert find_videos(tmp_path, frames=False).video_of(Listed("x", (name,))) == file


def test_a_name_without_its_number_or_part_is_another(tmp_path: Path):
    for name in ("v1.0.mp4", "xyz.f137.mp4"):
        put(tmp_path / name)
    videos = find_videos(tmp_path, frames=False)
    assert [videos.video_of(Listed(n, (n,))) for n in ("v1", "xyz", "", ".", "..")] == [None] * 5


ALIKE = [
    ("Video-1.MP4", "video_1.mp4"),
    ("a.webm", "a.mp4"),
    ("Cafe.mp4", "Caf\u00e9.mp4"),
    ("clip 7.mp4", "clip7"),
    ("\uff21.mp4", "a"),
]


@pytest.mark.parametrize(("file", "name"), ALIKE)
def test_what_is_missing_is_told_with_what_looks_like_it(file, name, tmp_path: Path, capsys):
    folder, root = write(tmp_path / "clips"), tmp_path / "data" / "mine"
    (folder / "a.mp4").rename(folder / "zz.mp4")
    put(folder / "s" / file, miniature.video())
    (folder / "train.csv").write_text(f"id,video,caption\nq,{name},x\nb,b.mp4,x\nr,gone,x\n")
    split.run(own(folder), root)
    counts = index.run(own(folder), root)
    assert counts["train"]["listed"] == 3 and counts["train"]["present"] == 1
    (line,) = [t for t in capsys.readouterr().err.splitlines() if "have no video" in t]
    assert line.startswith("mine: 2 of 5 listed clips have no video, such as 'q'; ")
    assert f"{f's/{file}'!r} looks like 'q'" in line
    for video in folder.glob("*.mp4"):
        video.unlink()
    with pytest.raises(UserError, match="holds none of the 5 listed videos") as e:
        index.run(own(folder), root, show=False)
    assert f"{f's/{file}'!r} looks like 'q'" in one_line(str(e.value))


# --- links ---


def test_folders_that_are_linked_into_themselves_are_read_once(tmp_path: Path):
    for name in ("a.mp4", "s/b.mp4", "s/t/c.mp4"):
        put(tmp_path / "own" / name)
    for link in ("own/own", "own/s/up", "own/s/t/all"):
        (tmp_path / link).symlink_to(tmp_path / "own")
    (tmp_path / "own" / "more").symlink_to(".")
    (tmp_path / "own" / "s" / "here").symlink_to("..")
    videos = find_videos(tmp_path / "own", frames=False)
    assert sorted(os.path.basename(p) for p in videos.paths) == ["a.mp4", "b.mp4", "c.mp4"]
    named = [videos.video_of(Listed(n, (n,))) for n in ("a", "own/a.mp4", "more/s/b.mp4", "s/t/c")]
    files = [os.path.basename(os.path.realpath(tmp_path / "own" / n)) for n in named if n]
    assert files == ["a.mp4", "a.mp4", "b.mp4", "c.mp4"]


def test_two_names_of_one_file_are_no_choice(tmp_path: Path):
    put(tmp_path / "s" / "a.mp4")
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "a.mp4").symlink_to(tmp_path / "s" / "a.mp4")
    (tmp_path / "u").symlink_to(tmp_path / "s")
    assert find_videos(tmp_path, frames=False).video_of(Listed("a", ("a",))) == "s/a.mp4"
    shutil.copy(tmp_path / "s" / "a.mp4", tmp_path / "t" / "a.mkv")
    with pytest.raises(UserError, match=r"s/a\.mp4 and t/a\.mkv could be its video; remove one"):
        find_videos(tmp_path, frames=False).video_of(Listed("a", ("a",)))


# --- what lists may hold ---


def read(folder: Path, task: str, annotations: dict, files: dict[str, str], **fields: object):
    """{split: [(id, captions, label)]} of lists with this content."""
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    base = {"name": "mine", "task": task, "folder": str(folder), "annotations": annotations}
    lists = readers.read_lists(Dataset.model_validate({**base, **fields}), folder)
    return {s: [(c.id, c.captions, c.label) for c in some] for s, some in lists.splits.items()}


LISTS = {"format": "list", "files": {"train": "t.txt", "val": "v.txt"}}


@pytest.mark.parametrize(
    ("train", "val", "names"),
    [
        ("clip 12 0\n", "b.mp4 1\n", ["clip 12", "b.mp4"]),
        ("take 1 0\ntake 2 1\n", "take 3 1\n", ["take 1", "take 2", "take 3"]),
        ("78687 40 1\n78688 40 0\n", "78689 12 1\n", ["78687", "78688", "78689"]),
        ("s/a.mp4 120 1\n", "b.mp4 1\n", ["s/a.mp4", "b.mp4"]),
        ("my  clip.mp4\t 7 1\n", "x y 3 0\n", ["my  clip.mp4", "x y"]),
        ("air drumming/x y.mp4 0\r\n", " b 1 \n", ["air drumming/x y.mp4", "b"]),
    ],
)
def test_a_path_may_end_in_a_number(train, val, names, tmp_path: Path):
    got = read(tmp_path, "recognition", LISTS, {"t.txt": train, "v.txt": val}, classes=2)
    assert [name for some in got.values() for name, _, _ in some] == names


@pytest.mark.parametrize("line", ["a", "a x", "a -1", "a 1.0", "a \u00b2", "7", "a 9999999999999"])
def test_a_line_without_a_label_is_named(line: str, tmp_path: Path):
    files = {"t.txt": f"b 0\n{line}\n", "v.txt": "c 1\n"}
    with pytest.raises(UserError, match=r"t\.txt:2: expected <path> \[<frames>\] <label>"):
        read(tmp_path, "recognition", LISTS, files, classes=2)


CAPTIONS = {
    "msrvtt": (
        {"train": "t.csv", "captions": "c.json"},
        {"t.csv": "video_id\na\n"},
        lambda texts: {"sentences": [{"video_id": k, "caption": v} for k, v in texts]},
    ),
    "activitynet": (
        {"train": "t.json", "train_captions": "c.json"},
        {"t.json": '["v_a"]'},
        lambda texts: {f"v_{k}": {"sentences": [v]} for k, v in texts},
    ),
    "vatex": (
        {"train": "t.txt", "captions": "c.json"},
        {"t.txt": "a\n"},
        lambda texts: {k: {"enCap": [w for n, w in texts if n == k]} for k, _ in texts},
    ),
    "didemo": (
        {"train": "c.json", "train_list": "t.txt"},
        {"t.txt": "a\n"},
        lambda texts: [{"video": k, "description": v} for k, v in texts],
    ),
}


@pytest.mark.parametrize("form", CAPTIONS)
def test_an_empty_caption_matters_where_a_list_names_its_clip(form: str, tmp_path: Path):
    roles, lists, written = CAPTIONS[form]
    declared = {"format": form, "files": roles}
    texts = [("a", "x"), ("zz", " ")]
    got = read(tmp_path, "retrieval", declared, {**lists, "c.json": json.dumps(written(texts))})
    assert got == {"train": [("a", ("x",), None)]}
    files = {**lists, "c.json": json.dumps(written([("a", " "), ("zz", "x")]))}
    with pytest.raises(UserError, match=r"c\.json: .*caption: empty; write one"):
        read(tmp_path, "retrieval", declared, files)


def test_a_caption_that_two_people_wrote_counts_twice(tmp_path: Path):
    declared = {"format": "csv", "files": {"train": "t.csv"}}
    content = {"t.csv": "id,caption\na,x\na,y\na,x\n"}
    assert read(tmp_path, "retrieval", declared, content) == {
        "train": [("a", ("x", "y", "x"), None)]
    }
    declared = {"format": "jsonl", "files": {"train": "t.jsonl"}}
    content = {"t.jsonl": '{"id": "a", "caption": ["x", "x"]}\n'}
    assert read(tmp_path, "retrieval", declared, content) == {"train": [("a", ("x", "x"), None)]}


ENDS = "one\u2028two\u2029three\x85four\x0bfive\x0csix\x1cseven"


def test_a_text_may_hold_what_elsewhere_ends_lines(tmp_path: Path):
    folder, root = write(tmp_path / "clips"), tmp_path / "data" / "mine"
    for name, caption in (("a", ENDS), ("b", "x")):
        line = json.dumps({"id": name, "caption": caption}, ensure_ascii=False)
        with (folder / "train.jsonl").open("a", encoding="utf-8") as f:
            f.write(line + "\r\n")
    declared = {"format": "jsonl", "files": {"train": "train.jsonl"}}
    split.run(own(folder, annotations=declared), root)
    index.run(own(folder, annotations=declared), root, show=False)
    assert [c.captions[0] for c in records.read(root, "train")] == [ENDS, "x"]
    rows = records.rows(root / "train.jsonl")  # a list that somebody wrote without escapes
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (root / "train.jsonl").write_text(text, encoding="utf-8")
    assert "\u2028" in text and records.rows(root / "train.jsonl") == rows
    (root / "train.jsonl").write_text(f"{text}{{\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"train\.jsonl:3: not valid JSON"):
        records.rows(root / "train.jsonl")


def test_a_list_with_a_nul_byte_is_no_text(tmp_path: Path):
    declared = {"format": "csv", "files": {"train": "t.csv"}}
    with pytest.raises(UserError, match=r"t\.csv:3: a NUL byte; save the file as text"):
        read(tmp_path, "retrieval", declared, {"t.csv": "id,caption\na,x\nb\0,y\n"})


# --- many ---


def test_threads_take_a_few_items_ahead_of_what_is_done():
    taken: list[int] = []

    def items():
        for k in range(1000):
            taken.append(k)
            yield k

    results = in_threads(lambda k: k * k, items(), 2)
    first = [next(results) for _ in range(10)]
    assert all(square == k * k for k, square in first) and len(taken) <= 10 + 2 * (1 + AHEAD)
    assert {k for k, _ in [*first, *results]} == set(range(1000))
