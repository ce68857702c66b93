"""Lists of every form, changed at random: read, or refused with the name of the file."""

import json
import pickle
import random
from pathlib import Path

import pytest

from vidtune.datasets import readers
from vidtune.spec import Dataset, UserError

# form -> (task, files by role, their contents)
FORMS: dict[str, tuple[str, dict[str, str], dict[str, bytes]]] = {
    "csv": (
        "retrieval",
        {"train": "t.csv"},
        {"t.csv": b'id,video,caption\na,a.mp4,"x, y"\nb,b.mp4,z\n'},
    ),
    "jsonl": (
        "retrieval",
        {"train": "t.jsonl"},
        {"t.jsonl": b'{"id": "a", "caption": ["x", "y"]}\n{"id": "b", "caption": "z"}\n'},
    ),
    "list": (
        "recognition",
        {"train": "t.txt", "labels": "l.csv"},
        {"t.txt": b"s/a.mp4 120 0\ns/b c.mp4 7 1\n", "l.csv": b"id,name\n0,run\n1,walk\n"},
    ),
    "kinetics": (
        "recognition",
        {"train": "t.csv"},
        {
            "t.csv": b"label,youtube_id,time_start,time_end,split\nrun,abc,1,11,train\nwalk,de,2,3,t\n"
        },
    ),
    "msrvtt": (
        "retrieval",
        {"train": "t.csv", "captions": "c.json"},
        {
            "t.csv": b"video_id\na\n",
            "c.json": json.dumps(
                {"sentences": [{"video_id": "a", "caption": "x"}], "videos": [{"video_id": "a"}]}
            ).encode(),
        },
    ),
    "msvd": (
        "retrieval",
        {"train": "t.txt", "captions": "c.pkl"},
        {
            "t.txt": b"a_1_2\nb_3_4\n",
            "c.pkl": pickle.dumps({"a_1_2": [["x"]], "b_3_4": [["y", "z"]]}),
        },
    ),
    "something_v2": (
        "recognition",
        {"train": "t.json", "labels": "l.json"},
        {
            "t.json": b'[{"id": "1", "template": "Run [x]"}]',
            "l.json": b'{"Run x": "0", "Walk": "1"}',
        },
    ),
    "lsmdc": (
        "retrieval",
        {"train": "t.csv"},
        {"t.csv": b"a\t1\t2\t3\t4\tone walks.\nb\t1\t2\t3\t4\tx\n"},
    ),
}
CHANGES = [b"", b"\n", b"\r", b"\0", b"\xff", b'"', b",", b"\t", b" ", b"-1", b"1e999", b"null"]
CHANGES += ["\u2028".encode(), "\u00b2".encode(), b"[", b"}", b"9" * 30, b"NaN", b"../"]


@pytest.mark.parametrize("form", FORMS)
def test_a_changed_list_is_read_or_its_mistake_is_named(form: str, tmp_path: Path):
    task, files, contents = FORMS[form]
    declared = {"format": form, "files": files}
    base = {"name": "mine", "task": task, "folder": str(tmp_path), "annotations": declared}
    dataset = Dataset.model_validate({**base, "classes": 2 if task == "recognition" else None})
    rng, read = random.Random(0), 0
    for k in range(150):
        changed = {name: bytearray(content) for name, content in contents.items()}
        for _ in range(min(k, rng.randrange(1, 4))):
            content = changed[rng.choice(list(changed))]
            at = rng.randrange(len(content) + 1)
            content[at : at + rng.randrange(3)] = rng.choice(CHANGES)
        for name, content in changed.items():
            (tmp_path / name).write_bytes(content)
        try:
            lists = readers.read_lists(dataset, tmp_path)
        except UserError as e:
            assert str(e).startswith((str(tmp_path), "config/datasets.yaml")), (k, changed)
        else:
            read += 1
            clips = [clip for some in lists.splits.values() for clip in some]
            assert all(isinstance(text, str) for c in clips for text in (c.id, *c.captions)), (
                changed
            )
    assert 3 < read < 150
