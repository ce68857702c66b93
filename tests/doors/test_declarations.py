"""A declaration that cannot mean anything is one line when the configuration is read."""

import pytest
from helpers.common import one_line

from vidtune.plan import load
from vidtune.spec import UserError

FILES = "{train: a.csv, test: b.csv}"
MINE = f"  mine: {{task: retrieval, folder: clips, annotations: {{format: csv, files: {FILES}}}}}\n"


def declare(config, old: str, new: str) -> str:
    """The line that refuses the user's own dataset with something changed."""
    path = config / "datasets.yaml"
    assert old in MINE
    path.write_text(path.read_text() + MINE.replace(old, new))
    with pytest.raises(UserError) as e:
        load(config)
    line = one_line(str(e.value))
    assert "datasets.yaml" in line
    return line


def test_the_declaration_that_the_others_change_is_sound(config):
    path = config / "datasets.yaml"
    path.write_text(path.read_text() + MINE)
    assert load(config).config.datasets["mine"].folder == "clips"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("mine:", "mi/ne:", "mi/ne.name: expected a name"),
        ("mine:", "..:", "expected a name"),
        ("mine:", "motion:", "name: generated videos have the folder"),
        ("folder: clips", "folder: ''", "mine.folder: empty"),
        ("folder: clips", f"folder: {'x' * 300}", "too long"),
        ("folder: clips", 'folder: "a\\tb"', "control characters"),
        (
            "folder: clips, ",
            "folder: clips, sources: [{file: a.zip, holds: videos, url: 'https://x.y/a'}], ",
            "folder",
        ),
        (", annotations: {format: csv, files: {train: a.csv, test: b.csv}}", "", "folder"),
        ("folder: clips, ", "shares: nobody, ", "dataset 'nobody' is not declared"),
        ("folder: clips, ", "shares: mine, ", "shares: expected a dataset with files of its own"),
        (
            "folder: clips, ",
            "shares: msrvtt-7k, ",
            "shares: expected a dataset with files of its own",
        ),
        ("folder: clips, ", "shares: motion-text, ", "has nothing to fetch"),
        ("a.csv", "../a.csv", "files.train: expected a path below the folder"),
        ("a.csv", "/a.csv", "files.train: expected a path below the folder"),
        ("a.csv", "''", "files.train: expected a path; found none"),
        ("b.csv", "a.csv", "two splits have one list"),
        ("test: b.csv", "valid: b.csv", "files.valid: unknown"),
        ("{train: a.csv, test: b.csv}", "{}", "give a list of each split"),
        ("format: csv, ", "format: csv, columns: {id: ''}, ", "columns.id"),
        ("format: csv, ", "format: csv, columns: {id: a, video: a}, ", "one column of the file"),
        ("format: csv, ", "format: csv, columns: {split: s}, ", "columns.split"),
        ("format: csv, ", "format: csv, columns: {label: s}, ", "expected those of retrieval"),
        ("format: csv, ", "format: csv, columns: {}, delimiter: '\"', ", "delimiter"),
        ("format: csv, ", "format: jsonl, delimiter: ';', ", "delimiter"),
        ("folder: clips, ", "folder: clips, classes: 0, ", "classes"),
        ("folder: clips, ", "folder: clips, classes: 5, ", "of recognition; drop"),
        ("task: retrieval", "task: recognition", "classes: a recognition dataset needs"),
        ("task: retrieval", "task: recognition, classes: 2, mirrored: {a: a}", "mirrored.a"),
        ("task: retrieval", "task: recognition, classes: 2, mirrored: {a: ''}", "mirrored"),
        ("folder: clips, ", "folder: clips, expected: {}, ", "mine.expected: empty"),
        ("folder: clips, ", "folder: clips, expected: {test: 0}, ", "expected.test"),
        ("folder: clips, ", "folder: clips, expected: {test: -5}, ", "expected.test"),
        ("folder: clips, ", "folder: clips, expected: {val: 5}, ", "has no such list"),
        ("folder: clips, ", "folder: clips, expected: {all: 5}, ", "expected"),
        ("folder: clips, ", "folder: clips, frame_rate: .inf, ", "frame_rate"),
        ("folder: clips, ", "folder: clips, tolerance: .nan, ", "tolerance"),
        ("folder: clips, ", "folder: clips, prefer: a/b, ", "prefer: expected a name"),
        ("folder: clips, ", "folder: clips, resized: {short: 100000}, ", "resized.short"),
        ("folder: clips, ", "folder: clips, title: '', ", "mine.title: empty"),
        (
            "folder: clips, ",
            "generated: motion-retrieval, classes: 6, expected: {test: 5}, ",
            "generated",
        ),
    ],
)
def test_a_dataset_that_cannot_be(config, old, new, says):
    assert says in declare(config, old, new)


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("datasets", "seconds: [1.5, 3.0]", "seconds: [3.0, 1.5]", "shortest first"),
        ("datasets", "seconds: [1.5, 3.0]", "seconds: [-1, 3.0]", "seconds.0"),
        ("datasets", "seconds: [1.5, 3.0]", "seconds: [1, 1e9]", "an hour at most"),
        ("datasets", "clips: {train: 1152, val: 128, test: 1152}", "clips: {}", "clips: empty"),
        (
            "datasets",
            "clips: {train: 1152, val: 128,",
            "clips: {train: 1152,",
            "clips: val: missing",
        ),
        ("datasets", "train: 1152, val", "train: -1, val", "clips.train"),
        ("datasets", "train: 1152, val", "valid: 1, train: 1152, val", "clips.valid"),
        ("datasets", "side: 64", "side: 63", "multiple of 2"),
        ("datasets", "fps: 16", "fps: 1000000", "fps"),
        ("datasets", "generated: motion, classes: 8", "generated: motion, classes: 9", "gives two"),
        ("metrics", "digits: 1\n", "digits: -1\n", "digits"),
        ("metrics", "digits: 1\n", "digits: 111111111111111111\n", "digits"),
        ("metrics", "within: 0.005", "within: -1", "within"),
        ("backbones", "width: 768", "width: 99999999999999", "width"),
        ("recipes", "weight_decay: 0.15", "weight_decay: -1", "weight_decay"),
        ("recipes", "lr: 1.0e-3", "lr: 1e999", "lr"),
        ("config", "papers: [side4video, tempme]", "papers: []", "papers"),
        ("config", "papers: [side4video, tempme]", "papers: [tempme, tempme]", "stands twice"),
        (
            "config",
            "papers: [side4video, tempme]",
            "papers: [../papers/tempme]",
            "papers.0: expected a name",
        ),
        ("config", "scale: mini", "scale: ../mini", "scale: expected a name"),
        ("config", "results: results", "results: ''", "results: expected a path"),
        ("config", "data: data ", 'data: "a\\nb" ', "data: "),
        ("scales", "\nsmoke:", "\nreference:", "choose another name"),
        (
            "tables",
            "overviews:",
            "overviews:\n  ../x: {title: t, columns: [top1]}",
            "expected a name",
        ),
    ],
)
def test_an_entry_that_cannot_be(config, file, old, new, says):
    path = config / f"{file}.yaml"
    text = path.read_text()
    assert old in text, old
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(UserError) as e:
        load(config)
    line = one_line(str(e.value))
    assert f"{file}.yaml" in line and says in line, line


def test_a_variant_of_a_dataset_without_the_list_that_is_evaluated_on(config):
    path = config / "papers" / "side4video.yaml"
    datasets = config / "datasets.yaml"
    datasets.write_text(datasets.read_text() + MINE.replace("test:", "val:"))
    text = path.read_text()
    assert "dataset: msrvtt," in text
    path.write_text(text.replace("dataset: msrvtt,", "dataset: mine,", 1))
    with pytest.raises(UserError, match="dataset: mine has no list of test, which is evaluated on"):
        load(config)


def test_a_missing_file_is_named(config):
    for name in ("tables", "expected", "metrics", "scales", "papers/tempme"):
        text = (config / f"{name}.yaml").read_text()
        (config / f"{name}.yaml").unlink()
        with pytest.raises(UserError, match=f"{name}.yaml"):
            load(config)
        (config / f"{name}.yaml").write_text(text)
