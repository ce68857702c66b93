"""The full scale without its data, with one dataset, and with an open one that a run may fetch."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from helpers import miniature
from helpers.common import REPO
from helpers.served import serving

from vidtune.datasets import readiness, stage_state
from vidtune.datasets.stages import SHARD
from vidtune.nn.clip import CLIP
from vidtune.plan import load

PAPER = """
cite: {key: own, title: Own, arxiv: "0000.00000", code: nobody/own@0}
variants:
  probe-ssv2: {method: linear_probe, backbone: vit-b16, dataset: ssv2, frames: 2, recipe: side4video-ss-b}
  probe-k400: {method: linear_probe, backbone: vit-b16, dataset: k400, frames: 2, recipe: side4video-ss-b}
  lora-msvd: {method: lora, backbone: vit-b16, dataset: msvd, frames: 2, recipe: tempme-retrieval}
"""
TINY = {"image": 32, "patch": 8, "width": 64, "layers": 2, "embed": 64}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A copy of the repository with one paper, a tiny ViT-B/16 in the cache, short recipes."""
    place = tmp_path_factory.mktemp("full") / "copy"
    skip = shutil.ignore_patterns(
        ".git", ".venv", ".snakemake", "data", "smoke", "mini", "full", "*.pyc", "goldens"
    )
    for part in ("config", "workflow", "environment.yml", "vidtune"):
        source = REPO / part
        if source.is_dir():
            keep = None if part == "vidtune" else skip
            shutil.copytree(source, place / part, ignore=keep or shutil.ignore_patterns("*.pyc"))
        else:
            shutil.copy(source, place / part)
    (place / "config/papers/own.yaml").write_text(PAPER)

    def edit(name, change):
        path = place / "config" / f"{name}.yaml"
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content))

    def tiny(backbones):
        text = {"width": 64, "layers": 2, "context": 77, "vocab_size": 49408}
        backbones["vit-b16"] |= TINY | {"text": {"vocabulary": "clip-bpe", **text}}
        backbones["vit-b16"]["weights"] = {"url": "https://example.org/w.pt", "sha256": None}

    def short(scales):
        scales["full"]["recipes"] = {"recognition/*": "smoke-recognition"}

    edit("backbones", tiny)
    edit("scales", short)
    edit("config", lambda c: c.update(papers=["own"], scale="full"))
    backbone = load(place / "config").config.backbones["vit-b16"]
    weights = place / "cache" / "weights" / "vit-b16.pt"
    weights.parent.mkdir(parents=True)
    torch.save(CLIP(backbone).state_dict(), weights)
    return place


def snakemake(place: Path, *args: str, code: int = 0) -> str:
    env = {**os.environ, "VIDTUNE_CACHE": str(place / "cache"), "no_proxy": "127.0.0.1"}
    env |= {"PYTHONPATH": str(place), "NODE_OF_TEST": str(place / "node")}
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *args]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300, env=env)
    out = done.stdout + done.stderr
    assert done.returncode == code, out[-6000:]
    return out


@pytest.mark.parametrize("dry", [["-n"], []])
def test_without_data_there_is_a_plan_and_one_list(dry, place):
    """A dry run plans all jobs beside it, as if the data were there."""
    out = snakemake(place, *dry, code=0 if dry else 2)
    lines = out.splitlines()
    assert "scale full: the papers' own backbones" in out and "train        3 jobs" in out
    start = lines.index("to provide, before runs that need it can start:")
    text = "\n".join(lines[start:])
    assert text.count("to provide") == 1 and "Traceback" not in out
    assert "ssv2: Something-Something V2 (1 run), in data/ssv2" in text
    assert "20bn-something-something-v2-* (videos), gated, into downloads/: 1) accept" in text
    assert "YouTubeClips.tar, msvd_data.zip: open; `vidtune data fetch msvd`" in text
    if dry:
        assert "runs wait for data and are planned as if it were there" in out
        assert out.count("\nrule train:") == 3
    else:
        assert lines[-1].startswith("vidtune: no run has its data: provide what is listed above")
    assert not (place / "results/full/fetched").exists() and not (place / "data").exists()


def provided(place: Path, name: str, server, **changes: object) -> None:
    """The miniature of a dataset, in its downloads and on the server, and declared as it is but for
    `changes`."""
    mini = miniature.MAKERS[name]()
    declared = load(place / "config").config.datasets[name]
    made = miniature.served(declared, mini, server, place / "data" / name)
    path = place / "config/datasets.yaml"
    content = yaml.safe_load(path.read_text())
    entry = content["datasets"][name]
    entry["expected"] = made.expected
    if made.classes:
        entry["classes"] = made.classes
    entry["sources"] = [s.model_dump(mode="json", exclude_defaults=True) for s in made.sources]
    entry |= changes
    content["datasets"][name] = {k: v for k, v in entry.items() if v is not None}
    path.write_text(yaml.safe_dump(content))


def clips_of(place: Path, name: str) -> set[str]:
    """The videos that a training and its test read."""
    lists = (place / f"data/{name}/{split}.jsonl" for split in ("train", "val"))
    return {json.loads(line)["video"] for path in lists for line in path.read_text().splitlines()}


def evaluated(place: Path) -> set[str]:
    rows = csv.DictReader(io.StringIO((place / "results/full/rows.csv").read_text()))
    return {r["variant"] for r in rows if r["source"] == "ours" and r["metric"] == "top1"}


def test_one_dataset_is_enough_for_its_rows_and_an_open_one_is_fetched_if_asked_for(place):
    with serving() as server:
        provided(place, "ssv2", server)
        out = snakemake(place)
        assert "vidtune: 2 runs wait for data and are left out" in out
        assert "msvd: MSVD (1 run)" in out and "ssv2: Something" not in out
        assert evaluated(place) == {"own/probe-ssv2"}
        assert (place / "data/ssv2/describe/index.html").exists()
        assert not server.asked
        assert "Nothing to be done" in snakemake(place)

        cut = {"expected": None, "training_items": 2 * SHARD}  # as if it were large
        provided(place, "k400", server, **cut)
        assert not server.asked  # nothing is downloaded unasked
        assert "k400: Kinetics-400 (1 run)" in snakemake(place, "-n")
        asked = ["--config", "fetch=[k400]"]
        snakemake(place, *asked, "stage=$NODE_OF_TEST")
        assert len(server.asked) == 7
        assert len(list((place / "node").rglob("videos/*/*"))) == len(clips_of(place, "k400"))
        done = {p.name for p in (place / "results/data").glob("k400.*")}
        assert {"k400.index.1of2", "k400.index.2of2", "k400.check.2of2", "k400.check"} <= done
        assert evaluated(place) == {"own/probe-ssv2", "own/probe-k400"}
        assert "Nothing to be done" in snakemake(place, *asked)

        # a stage that runs again and makes the same again is followed by nothing
        snakemake(place, *asked, "-R", "data_split", "--until", "data_split")
        out = snakemake(place, *asked, "-n")
        assert "rule train" not in out and "rule evaluate" not in out


def test_readiness(place, tmp_path):
    p = load(place / "config", {"data": str(tmp_path)})
    of = p.config.datasets
    assert readiness.readiness(p, of["motion-class"]) == "generated"
    assert readiness.readiness(p, of["msvd"]) == "absent"
    asked = load(place / "config", {"data": str(tmp_path), "fetch": ["msvd", "vatex"]})
    assert readiness.readiness(asked, of["msvd"]) == "open"
    assert readiness.readiness(asked, of["vatex"]) == "absent"  # its videos are gated
    for file in ("YouTubeClips.tar", "msvd_data.zip"):
        assert readiness.readiness(p, of["msvd"]) == "absent"
        (tmp_path / "msvd/downloads").mkdir(parents=True, exist_ok=True)
        (tmp_path / "msvd/downloads" / file).write_bytes(b"")
    assert readiness.readiness(p, of["msvd"]) == "placed"
    k400 = tmp_path / "k400"
    for name in ("raw/a.mp4", "raw/b.mp4", "annotations/train.csv", "annotations/val.csv"):
        (k400 / name).parent.mkdir(parents=True, exist_ok=True)
        (k400 / name).touch()
    assert readiness.readiness(p, of["k400"]) == "placed"
    # An archive that replaces some of the videos is extracted beside them.
    (k400 / "raw/replacement_for_corrupted_k400").mkdir()
    (k400 / "raw/replacement_for_corrupted_k400/a.mp4").touch()
    name, note = "replacement_for_corrupted_k400.tgz", {"stamps": {}, "files": 1, "into": "raw"}
    stage_state.save(k400, "extract", archives={name: note})
    assert readiness.readiness(p, of["k400"]) == "placed"
    for video in ("a", "b"):
        (k400 / f"raw/{video}.mp4").unlink()
    (k400 / "raw/readme.txt").touch()
    assert readiness.readiness(p, of["k400"]) == "absent"  # it alone is there
    (tmp_path / "lsmdc").mkdir()
    (tmp_path / "lsmdc/manifest.json").write_text("{}")
    assert readiness.readiness(p, of["lsmdc"]) == "own"
