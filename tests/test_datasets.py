"""Every real dataset from the files its owner publishes to lists that training reads."""

import json
from collections.abc import Iterator
from pathlib import Path

import miniature
import pytest
from conftest import plan_at
from served import Server, serving

from vidtune.data import describe, extract, fetch, index, records, split
from vidtune.data.video import read_frames
from vidtune.plan import Plan


@pytest.fixture(scope="module")
def config() -> Plan:
    return plan_at(Path("nowhere"))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


def test_each_real_dataset_is_here(config: Plan):
    real = {d.name for d in config.config.datasets.values() if not d.files and not d.shares}
    assert real == set(miniature.MAKERS)


@pytest.mark.parametrize("name", miniature.MAKERS)
def test_from_published_files_to_lists_and_a_page(
    name: str, config: Plan, server: Server, tmp_path: Path
):
    mini = miniature.MAKERS[name]()
    root = tmp_path / name
    dataset = miniature.served(config.config.datasets[name], mini, server, root)
    fetch.run(dataset, root, show=False)
    extract.run(dataset, root, show=False)
    split.run(dataset, root)
    coverage = index.run(dataset, root, show=False)
    describe.run(dataset, root)

    assert json.loads((root / "splits.json").read_text()) == {
        s: list(clips) for s, clips in mini.truth.items()
    }
    classes = records.manifest(root)["classes"]
    assert tuple(classes) == mini.classes
    for name_, clips in mini.truth.items():
        found = records.read(root, name_)
        lost = mini.absent.get(name_, 0)
        assert len(found) == len(clips) - lost
        assert coverage[name_]["listed"] == coverage[name_]["expected"] == len(clips)
        assert coverage[name_]["present"] == coverage[name_]["decodable"] == len(found)
        for r in found:
            truth = clips[r.id]
            assert (classes[r.label] if mini.classes else r.captions) == truth
            assert r.frames == mini.frames
            assert read_frames(r.path, [0, r.frames - 1]).shape == (2, 32, 32, 3)
    page = (root / "describe" / "index.html").read_text()
    assert (dataset.title or "") in page and f"{len(mini.truth['train'])}" in page
    assert (root / "describe" / "train.jpg").read_bytes()[:2] == b"\xff\xd8"
