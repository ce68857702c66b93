"""Any input at any door ends by the contract; `make fuzz` tries more of them."""

import json
import os
import shutil
from pathlib import Path

import pytest
from helpers import hostile
from helpers.common import REPO, plan_at
from helpers.contract import obeys
from helpers.own_data import build, own, write
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.configuration import set_hypothesis_home_dir

from vidtune.report.numbers import result_files, results, rows
from vidtune.spec import write_json, write_text
from vidtune.spec.read import dump

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
fuzzed = hypothesis_settings(**hostile.settings(), suppress_health_check=SLOW)
OWN = {
    "task": "retrieval",
    "annotations": {"format": "csv", "files": {"train": "train.csv", "test": "test.csv"}},
}


@pytest.fixture(scope="module", autouse=True)
def place(tmp_path_factory: pytest.TempPathFactory):
    """An empty working directory, and a file outside that nobody may touch."""
    folder = tmp_path_factory.mktemp("doors")
    set_hypothesis_home_dir(folder / "hypothesis")
    (folder / "victim").mkdir()
    (folder / "victim" / "precious.json").write_text("{}")
    (folder / "cwd" / "inner").mkdir(parents=True)
    here = Path.cwd()
    os.chdir(folder / "cwd" / "inner")
    yield folder
    os.chdir(here)


@pytest.fixture(scope="module")
def config(place: Path) -> Path:
    """The configuration with one paper, and a user's own dataset."""
    folder = Path(shutil.copytree(REPO / "config", place / "config"))
    (folder / "config.yaml").write_text(
        f"scale: smoke\npapers: [tempme]\nresults: {place}/results\ndata: {place}/data\n"
    )
    datasets = (folder / "datasets.yaml").read_text().rpartition("  # Your own videos")[0]
    mine = f"  mine: {json.dumps({**OWN, 'folder': f'{place}/clips'})}\n"
    (folder / "datasets.yaml").write_text(datasets + mine)
    return folder


@fuzzed
@given(data=st.data())
def test_the_configuration(place, config, data):
    names = (
        "config",
        "datasets",
        "datasets",
        "recipes",
        "scales",
        "backbones",
        "metrics",
        "tables",
    )
    name = data.draw(st.sampled_from([*names, "expected", "papers/tempme", "papers/tempme"]))
    path = config / f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    verb = data.draw(st.sampled_from([["ls"], ["plan"], ["data", "status"], ["stale"]]))
    try:
        new = data.draw(hostile.yaml_edits(text))
        path.write_text(new, encoding="utf-8", errors="replace")
        code, line = obeys([*verb, "--config", config], place / "results", place / "victim", config)
        assert code == 0 or f"{name.split('/')[-1]}.yaml" in line or "config" in line
    finally:
        path.write_text(text, encoding="utf-8")


@fuzzed
@given(data=st.data())
def test_the_command_line(place, config, data):
    name = data.draw(st.sampled_from(hostile.NAMES) | st.text(max_size=12))
    other = data.draw(st.sampled_from(hostile.NAMES))
    asked = [
        ["ls", "--papers", name],
        ["ls", "--scale", name, "--papers", other],
        ["plan", "--results", name],
        ["plan", "--gpus", name],
        ["plan", "--profile", name],
        ["status", "--results", name],
        ["ls", "--method", name],
        ["diff", name, other],
        ["report", "--only", name],
        ["plan", "--gpus", "8x80GiB", "--tflops", name, other],
        ["data", "status", name, "--data", other],
        ["data", "index", name],
        ["data", "index", "mine", "--shard", name],
        ["cost", name],
        ["explain", name],
        ["verify", "--paper", name, "--table", other],
        ["memory", "tempme/tempme-b16", "--batch", name, "--frames", other],
        ["memory", "tempme/tempme-b16", "--fits", name],
        ["fetch", f"no-{name}"],
        ["schema", "--out", f"{place}/out/{name}"],
        ["collect", "--results", f"{place}/out/{name}"],
        [name, other],
    ]
    argv = data.draw(st.sampled_from(asked))
    (place / "out").mkdir(exist_ok=True)
    config_of = [] if argv[0] in ("schema", name) else ["--config", config]
    if argv != ["plan", "--gpus", name] or "x" not in name:
        obeys([*argv, *config_of], place / "out", place / "victim", config)


@pytest.fixture(scope="module")
def full(place: Path) -> Path:
    """A results folder with every kind of file."""
    plan = plan_at(place / "full", "smoke")
    stamp = {"digest": "0" * 12, "device": "cpu", "commit": "abc", "versions": {"torch": "2"}}
    layers = [{"sequences": 12, "entering_attention": 50, "leaving": 49}] * 2
    one = {"gmacs": 50.0, "views": 1, "params_tuned": 5, "params_total": 10, "tokens": layers}
    one |= {"output_tokens": 97, "provenance": stamp}
    peak = {"peak_gib": 5.0, "by_kind": {}, "by_phase": {}}
    memory = {"convention": "c", "batch": 8, "frames": 8, "train": peak, "inference": peak}
    for paper in plan.config.papers:
        names = [m for m in plan.models if m.startswith(f"{paper}/")]
        write_json(result_files.paper_path(plan, "costs", paper), dict.fromkeys(names, one))
        write_json(result_files.paper_path(plan, "memory", paper), dict.fromkeys(names[:2], memory))
    for name, run in plan.runs.items():
        keys = ("top1", "pair") if run.model.task == "recognition" else ("r1", "rsum", "pair")
        result = {"status": "ok", "metrics": dict.fromkeys(keys, 40.0), "n": 320, "seconds": 1.0}
        covered = {"train": {"used": 9, "expected": 10}}
        path = result_files.eval_path(plan, name)
        write_json(path, {**result, "coverage": covered, "provenance": stamp})
        trained = {"status": "ok", "seconds": 2.0, "losses": [(10, 2.0), (20, 1.0)]}
        write_json(path.with_name("train.json"), trained)
    probe = {"top1": 0.4, "within_pairs": 0.5, "n": 320, "chance": [0.43, 0.57]}
    check = {"zero_shot": {"colour": 1.0}, "probe": probe, "holds": {"all": True}}
    premise = {"recognition": check, "retrieval": check, "provenance": stamp}
    premise["references"] = {"recognition": {"chance": {"top1": 12.5}}}
    for backbone in plan.pretrainings:
        folder = plan.root / "backbones" / backbone
        write_json(folder / "premise.json", premise)
        write_json(folder / "pretrain.json", {"seconds": 3.0})
    model = next(iter(plan.models))
    phase = {"status": "ok", "peak_allocated_gib": 3.0, "videos_per_s": 5.0}
    bench = {"status": "ok", "conditions": {"device": "g", "batch": 8}, "train": phase}
    write_json(plan.root / "bench" / "g" / f"{model}.json", bench)
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    return plan.root


@fuzzed
@given(data=st.data())
def test_the_results(place, full, data):
    kinds = (
        "eval.json",
        "train.json",
        "premise.json",
        "pretrain.json",
        "rows.csv",
        "bench",
        "costs",
    )
    kind = data.draw(st.sampled_from([*kinds, "memory"]))
    paths = [p for p in sorted(full.rglob("*.*")) if kind in p.parts[-4:] or p.name == kind]
    path = paths[data.draw(st.integers(0, len(paths) - 1))]
    text = path.read_text()
    if kind == "rows.csv":
        cut = data.draw(st.integers(0, len(text)))
        new = text[:cut] + data.draw(st.text(max_size=5) | st.just("x" * 200_000)) + text[cut:]
    else:
        new = data.draw(hostile.json_edits(text))
    verb = (
        "summary"
        if kind in ("rows.csv", "train.json")
        else data.draw(st.sampled_from(["collect", "summary", "stale"]))
    )
    try:
        path.write_text(new, encoding="utf-8", errors="replace")
        argv = [verb, "--config", REPO / "config", "--results", full.parent, "--scale", "smoke"]
        before = (full / "rows.csv").read_bytes()
        code, line = obeys(argv, full, place / "victim")
        assert code == 0 or path.name in line
        if kind != "rows.csv":
            (full / "rows.csv").write_bytes(before)
    finally:
        path.write_text(text)


@pytest.fixture(scope="module")
def staged(place: Path, config: Path) -> Path:
    """A user's dataset after split and index."""
    folder = write(place / "clips")
    build(own(folder), place / "data" / "mine")
    return place / "data" / "mine"


@fuzzed
@given(data=st.data())
def test_what_stages_leave(place, config, staged, data):
    kept = place / "kept"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(staged, kept)
    paths = [p for p in sorted(staged.rglob("*.json*")) if p.is_file()]
    path = paths[data.draw(st.integers(0, len(paths) - 1))]
    text = path.read_text()
    stage = data.draw(st.sampled_from(["status", "describe", "index", "split"]))
    try:
        lines = text.split("\n")
        if path.suffix == ".jsonl" and len(lines) > 1:
            at = data.draw(st.integers(0, len(lines) - 2))
            lines[at] = data.draw(hostile.json_edits(lines[at]))
            new = "\n".join(lines)
        else:
            new = data.draw(hostile.json_edits(text))
        path.write_text(new, encoding="utf-8", errors="replace")
        outside = (place / "victim", place / "clips", config)
        obeys(["data", stage, "mine", "--config", config], staged, *outside)
    finally:
        shutil.rmtree(staged)
        shutil.copytree(kept, staged)


@fuzzed
@given(data=st.data())
def test_specs_written_by_hand(place, data):
    plan = plan_at(place / "specs", "smoke")
    run = next(r for r in plan.runs.values() if r.model.method == "linear_probe")
    costing = {"paper": "tempme", "models": [run.model.model_dump(mode="json")]}
    verb = data.draw(st.sampled_from(["cost", "cost", "train", "evaluate"]))
    text = json.dumps(costing) if verb == "cost" else dump(run)
    spec = place / "spec.json"
    new = data.draw(hostile.json_edits(text))
    spec.write_text(new, encoding="utf-8", errors="replace")
    out = place / "out-of-specs" / "made.json"
    obeys([verb, "--spec", spec, "--out", out], out.parent, place / "victim", place / "cwd")


def test_odd_places(place, config):
    """Pipes, sockets, links, folders and devices: read of nobody, replaced by nobody."""
    spec = place / "good.json"
    write_json(spec, {"paper": "tempme", "models": []})
    for path in hostile.odd_places(place / "odd"):
        code, line = obeys(
            ["generate", "--spec", path, "--out", place / "o"], place / "o", place / "odd"
        )
        assert code == 2 and path.name in line
        if path.name not in ("file", "x"):
            code, line = obeys(["cost", "--spec", spec, "--out", path], place / "o", place / "odd")
            assert code == 2 and path.name in line
        code, line = obeys(["ls", "--config", path], place / "o", place / "odd")
        assert code == 2 and path.name in line
    assert (place / "odd" / "file").read_text() == "mine" and Path("/dev/null").is_char_device()
