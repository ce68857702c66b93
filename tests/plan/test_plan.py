"""The Plan: what a scale makes of a variant, and what changes when."""

import json
from pathlib import Path

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune.plan import load, method_names, options_class, read_paper
from vidtune.plan.scale import map_options
from vidtune.spec import Run, UserError, load_json, parse, write_json


@pytest.fixture(scope="module")
def mini():
    return load(REPO / "config")


def test_ls_lists_every_variant_with_its_settings(vidtune):
    code, out, _ = vidtune("ls", "--json")
    items = {i["name"]: i for i in json.loads(out)}
    assert code == 0
    keys = {
        "name",
        "paper",
        "method",
        "backbone",
        "dataset",
        "frames",
        "views",
        "recipe",
        "train_share",
        "options",
    }
    assert all(set(i) == keys for i in items.values())
    assert items["side4video/l14-light-ssv2"]["options"]["width"] == 320
    assert items["side4video/l14-light-ssv2"]["views"] == "1x3"
    assert items["side4video/evl-l14-k400"]["views"] == "3x1"  # tested so; its table prints 1x3
    assert items["tempme/tempme-b16"]["options"]["cross"] == 40
    published = {
        f"{p.name}/{row}"
        for p in load(REPO / "config").config.papers.values()
        for n in p.numbers
        for row in n.rows
        if row not in p.cited
    }
    assert published <= set(items)


def test_baselines_are_tested_as_their_authors_do(mini):
    """Print has 1x3 of them all."""
    tested = {}
    for name, v in mini.variants.items():
        if v.method in ("st_adapter", "aim", "evl", "dist"):
            tested.setdefault((v.method, v.dataset), set()).add(mini.models[name].views)
            assert v.views == "1x3"
    ssv2 = {("st_adapter", "ssv2"): "3x1", ("aim", "ssv2"): "3x1", ("evl", "ssv2"): "3x1"}
    k400 = {("st_adapter", "k400"): "1x3", ("aim", "k400"): "1x3", ("evl", "k400"): "3x1"}
    dist = {("dist", "ssv2"): "1x3", ("dist", "k400"): "1x3"}
    assert tested == {key: {views} for key, views in (ssv2 | k400 | dist).items()}


def test_a_run_of_the_papers_size_is_its_spec_again(tmp_path):
    """A spec gives all fields, those too that a recipe leaves at their defaults."""
    path = tmp_path / "spec.json"
    for run in load(REPO / "config", {"scale": "full"}).runs.values():
        write_json(path, run)
        assert parse(Run, load_json(path), path) == run


def test_options_are_read_without_torch():
    import subprocess
    import sys

    code = (
        "import sys; from vidtune.cli import main; main(['ls']); from vidtune.plan import *; "
        "[options_class(m) for m in method_names()]; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPO, capture_output=True)


def test_a_folder_with_options_and_a_model_is_a_method():
    folders = {p.parent.name for p in (REPO / "vidtune/methods").glob("*/options.py")}
    assert {"side4video", "tempme"} < set(method_names()) == folders - {"template"}


def test_mapping_of_options(mini):
    b16, l14, small = (mini.config.backbones[n] for n in ("vit-b16", "vit-l14", "mini"))
    assert small.layers == 6 and small.width == 48 and small.patches == 16
    side = options_class("side4video")(layers=12, width=320).model_dump(mode="json")
    here = map_options("side4video", side, b16, small)
    assert (here["layers"], here["width"]) == (6, 24)  # all layers; 320/768 of 48, in eights
    assert map_options("side4video", side, l14, small)["layers"] == 3
    assert map_options("side4video", side, b16, b16) == side
    tempme = options_class("tempme")().model_dump(mode="json")
    here = map_options("tempme", tempme, mini.config.backbones["vit-b32"], small)
    assert here["merge_layers"] == [3, 4, 5] and here["img_merge"] == 1
    assert map_options("tempme", {**tempme, "img_merge": 0}, b16, small)["img_merge"] == 0
    for joins, half in {(2, 2, 3): [2, 3, 1], (2, 2, 2): [2, 2, 1], (4, 4, 4): [2, 4, 4]}.items():
        given = {**tempme, "merge_frames": list(joins)}
        assert map_options("tempme", given, b16, b16, 0.5) == {**given, "merge_frames": half}
        assert map_options("tempme", given, b16, b16) == given
    given = {**tempme, "merge_frames": [3, 2, 2]}  # the first that can be halved
    assert map_options("tempme", given, b16, b16, 0.5)["merge_frames"] == [3, 2, 1]
    evl = options_class("evl")(layers=4).model_dump(mode="json")
    here = map_options("evl", evl, b16, small)
    assert (here["layers"], here["width"]) == (2, 0)  # 0 stays what it says: the trunk's


def test_the_premise_takes_clips_as_the_runs_of_each_task_do(mini, config):
    probes = mini.premises["mini"].probes
    for name in ("side4video/b16-ssv1@0", "tempme/lora-b32@0"):
        run = mini.runs[name]
        probe = probes[run.model.task]
        assert probe.recipe.frame_rule() == run.recipe.frame_rule()
        assert (probe.data, probe.frames) == (run.data, run.model.frames)
        assert probe.recipe.max_words == run.model.max_words
    recipes = config / "recipes.yaml"
    text = recipes.read_text()
    head, mini_recipe = text.split("mini-recognition:\n", 1)
    recipes.write_text(f"{head}mini-recognition:\n{mini_recipe.replace('lr: ', 'lr: 1', 1)}")
    assert load(config).premises == mini.premises
    sampled = mini_recipe.replace("sampler: segments", "sampler: tsn", 1)
    recipes.write_text(f"{head}mini-recognition:\n{sampled}")
    assert load(config).premises != mini.premises


def test_specs_are_rewritten_only_where_they_change(config, tmp_path):
    out = {"results": str(tmp_path / "results")}
    plan = load(config, out)
    plan.write_specs()
    paths = list(plan.specs())
    before = {p: p.stat().st_mtime_ns for p in paths}
    load(config, out).write_specs()
    assert {p: p.stat().st_mtime_ns for p in paths} == before
    s4v = config / "papers/side4video.yaml"
    s4v.write_text(s4v.read_text().replace("{temporal: attention}", "{temporal: none}"))
    load(config, out).write_specs()
    changed = {
        p.relative_to(plan.root / "specs") for p in paths if p.stat().st_mtime_ns != before[p]
    }
    name = "side4video/b16-ssv1-attention"
    profiles = {"costs/side4video.json", "memory/side4video.json"}
    runs = {f"runs/{name}@{seed}.json" for seed in plan.scale.seeds}
    assert {str(p) for p in changed} == runs | profiles


def test_read_only_results_folder(as_nobody, config, tmp_path):
    place = tmp_path / "results"
    place.mkdir(mode=0o555)
    done = as_nobody(
        "vidtune.report.numbers.rows", "collect", "--config", config, "--results", place
    )
    assert done.returncode == 2
    assert "rows.csv: cannot write: Permission denied" in one_line(done.stderr)
    assert list(place.iterdir()) == []


def test_a_paper_needs_variants(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text("cite: {key: k, title: t, arxiv: '1', code: a/b@c}\n")
    with pytest.raises(UserError, match="variants: expected a mapping"):
        read_paper(path)


def test_every_row_that_a_method_can_express_is_a_variant(mini):
    """At full size: each dataset and backbone of the papers' tables, 8 and 16 frames, all views."""
    assert len(mini.variants) >= 60
    for data, frames in {"ssv1": (8, 16), "ssv2": (8, 16), "k400": (8, 16)}.items():
        for trunk in ("b16", "l14", "e14"):
            for f in frames:
                v = mini.variants[f"side4video/{trunk}-{data}-f{f}"]
                assert (v.frames, v.dataset) == (f, data)
                assert v.views == ("3x4" if data == "k400" else "3x2")
    for data in ("msrvtt", "msvd", "vatex"):
        for trunk in ("b32", "b16", "l14", "e14"):
            assert mini.models[f"side4video/{trunk}-{data}"].options["width"] == 320
    for data in ("activitynet", "didemo", "lsmdc"):
        model = mini.models[f"tempme/tempme-b32-{data}"]
        assert model.max_words == (32 if data == "lsmdc" else 64)


def test_printed_frames_are_the_variants(mini):
    """DiST's temporal encoder sees twice as many as its trunk, which print counts."""
    for paper in mini.config.papers.values():
        for numbers in paper.numbers:
            for row in numbers.rows:
                v, frames = paper.variants.get(row), numbers.under(row).frames
                if v and frames is not None:
                    assert v.frames == frames * (2 if v.method == "dist" else 1), (
                        numbers.where,
                        row,
                    )


def test_a_backbone_that_a_method_cannot_tune(config):
    s4v = config / "papers/side4video.yaml"
    s4v.write_text(
        s4v.read_text().replace(
            "aim-l14: {base: aim-b16, backbone: vit-l14",
            "aim-l14: {base: aim-b16, backbone: vit-e14",
        )
    )
    with pytest.raises(UserError, match=r"aim-l14.backbone: aim is for clip; vit-e14 is eva"):
        load(config)


def test_scales_share_what_is_said_of_the_data_folder():
    """So that one scale after another makes no videos again: Snakemake compares the names of inputs."""
    mini, long = (plan_at(Path("results"), scale) for scale in ("mini", "mini-long"))
    assert mini.generated and mini.generated == long.generated
    specs = [
        {p: s for p, s in plan.specs().items() if plan.shared in p.parents} for plan in (mini, long)
    ]
    assert specs[0] == specs[1] and Path("results/data/specs/generated/motion.json") in specs[0]
