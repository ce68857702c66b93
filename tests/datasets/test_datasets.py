"""Every real dataset from the files its owner publishes to lists that training reads."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from helpers import miniature
from helpers.common import plan_at
from helpers.served import Server, serving

from vidtune.data import records
from vidtune.data.video import read_frames
from vidtune.datasets import check, dataset_paths, describe, extract, fetch, index, split
from vidtune.plan import Plan


@pytest.fixture(scope="module")
def config() -> Plan:
    return plan_at(Path("nowhere"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


# those that share another dataset's files -> those files, with the lists that they read
SHARING = {"msrvtt-7k": partial(miniature.msrvtt, train="MSRVTT_train.7k.csv")}
MAKERS = {**miniature.MAKERS, **SHARING}


def test_each_real_dataset_is_here(config: Plan):
    real = {d.name: d.shares for d in config.config.datasets.values() if not d.generated}
    assert set(real) == set(MAKERS)
    assert {name for name, shares in real.items() if shares} == set(SHARING)


@pytest.mark.parametrize("name", MAKERS)
def test_from_published_files_to_lists_and_a_page(
    name: str, config: Plan, server: Server, tmp_path: Path
):
    mini = MAKERS[name]()
    root = tmp_path / name
    declared = config.config.datasets[name]
    home = dataset_paths.home(declared, root)
    owner = miniature.served(config.config.datasets[home.name], mini, server, home)
    fetch.run(owner, home, show=False)
    extract.run(owner, home, show=False)
    counts = {"expected": owner.expected, "classes": owner.classes}
    dataset = declared.model_copy(update=counts) if declared.shares else owner
    split.run(dataset, root)
    coverage = index.run(dataset, root, show=False)
    assert check.run(dataset, root, workers=1, show=False) == coverage
    assert not dataset_paths.quarantine(root).read_text()
    checked = (root / "checked.jsonl").read_text().splitlines()
    assert len(checked) == sum(c["decodable"] for c in coverage.values())
    describe.run(dataset, root)

    assert json.loads((root / "splits.json").read_text()) == {
        s: list(clips) for s, clips in mini.truth.items()
    }
    classes = records.manifest(root)["classes"]
    assert tuple(classes) == mini.classes
    for name_, clips in mini.truth.items():
        clips_read = records.read(root, name_)
        lost = mini.absent.get(name_, 0)
        assert len(clips_read) == len(clips) - lost
        assert coverage[name_]["listed"] == coverage[name_]["expected"] == len(clips)
        assert coverage[name_]["present"] == coverage[name_]["decodable"] == len(clips_read)
        for r in clips_read:
            truth = clips[r.id]
            assert (classes[r.label] if mini.classes else r.captions) == truth
            assert r.frames == mini.frames
            assert read_frames(r.path, [0, r.frames - 1]).shape == (2, 32, 32, 3)
    page = (root / "describe" / "index.html").read_text()
    assert (dataset.title or "") in page and f"{len(mini.truth['train'])}" in page
    assert (root / "describe" / "train.jpg").read_bytes()[:2] == b"\xff\xd8"
