"""Lists and manifests: each bad line names file, line and key."""

import json
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.generated import edit

from vidtune.data import records
from vidtune.spec import UserError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": "jumping"}, "label: 'jumping' is no class of the manifest"),
        ({"captions": ["  "]}, "captions: empty caption"),
        ({"captions": "a red circle"}, "captions: expected a list"),
        ({"video": "videos/none.mp4"}, "video: .*none.mp4 is missing"),
        ({"id": "train_00000"}, "id: 'train_00000' is on line 1 already"),
        ({"frames": 0}, "frames: expected more than 0"),
        ({"gallery": "a"}, "gallery: expected a whole number or null; found 'a'"),
        ({"gallery": 3}, "gallery: expected a number on every line or on none; found 3"),
        ({"fps": "fast"}, "fps: expected frames per second; found 'fast'"),
    ],
)
def test_a_bad_line_names_file_line_and_key(changes, message, copy: Path):
    edit(copy, "train", 1, **changes)
    with pytest.raises(UserError, match=rf"train\.jsonl:2: {message}") as e:
        records.read(copy, "train")
    assert "\n" not in str(e.value)


def test_a_missing_or_torn_list_says_so(copy: Path):
    with (copy / "val.jsonl").open("a") as f:
        f.write('{"id": "x", ')
    with pytest.raises(UserError, match=r"val\.jsonl:5: not valid JSON"):
        records.read(copy, "val")
    edit(copy, "train", 0)
    row = json.loads((copy / "train.jsonl").read_text().splitlines()[0])
    (copy / "train.jsonl").write_text(json.dumps({k: row[k] for k in row if k != "fps"}))
    with pytest.raises(UserError, match=r"train\.jsonl:1: fps: missing"):
        records.read(copy, "train")
    (copy / "test.jsonl").unlink()
    with pytest.raises(UserError, match=r"test\.jsonl: No such file"):
        records.read(copy, "test")
    (copy / "manifest.json").unlink()
    with pytest.raises(UserError, match=r"manifest\.json: .*no manifest; generate the data"):
        records.read(copy, "train")


def test_galleries_are_of_every_clip_or_of_none(copy: Path):
    for number in range(12):
        edit(copy, "test", number, gallery=number // 6, group=f"pair {number // 2}")
    clips = records.read(copy, "test")
    assert records.galleries(clips) == [0] * 6 + [1] * 6
    assert records.twins(clips) == [(k, k + 1) for k in range(0, 12, 2)]
    edit(copy, "test", 3, gallery=1)
    with pytest.raises(UserError, match=r"test\.jsonl:4: gallery: expected 0, as the other") as e:
        records.read(copy, "test")
    assert "\n" not in str(e.value)
    for number in range(12):
        edit(copy, "test", number, gallery=None, group=None)
    clips = records.read(copy, "test")
    assert records.galleries(clips) is None and records.twins(clips) == []


def test_shares_of_the_clips_are_nested_and_of_every_class(made: Path):
    (one, *_) = records.read(made, "train")
    labels = [0] * 40 + [1] * 21 + [2] * 2 + [None] * 10
    clips = [replace(one, id=f"clip{k}", label=label) for k, label in enumerate(labels)]
    taken = {share: records.take_share(clips, share) for share in (0.05, 0.1, 0.2, 0.5, 1.0)}
    for small, large in pairwise(taken.values()):
        assert {r.id for r in small} < {r.id for r in large}
    assert Counter(r.label for r in taken[0.05]) == {0: 2, 1: 1, 2: 1, None: 1}
    assert Counter(r.label for r in taken[0.5]) == {0: 20, 1: 10, 2: 1, None: 5}
    assert taken[1.0] == clips and [r for r in clips if r in taken[0.1]] == taken[0.1]
    assert {r.id for r in taken[0.5]} != {r.id for r in clips[:20]}  # not the first of the list
    again = records.take_share([*reversed(clips)], 0.2)  # the list's order decides nothing
    assert [*reversed(again)] == taken[0.2]
