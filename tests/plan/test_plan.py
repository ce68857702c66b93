"""The Plan: what a scale makes of a variant, and what changes when."""

import json
from fnmatch import fnmatch

import pytest
from helpers.common import REPO, one_line

from vidtune.plan import load, method_names, options_class, read_paper
from vidtune.plan.scale import map_options
from vidtune.spec import UserError


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
    assert items["tempme/tempme-b16"]["options"]["cross"] == 40
    published = {
        f"{p.name}/{row}"
        for p in load(REPO / "config").config.papers.values()
        for n in p.numbers
        for row in n.rows
        if row not in p.cited
    }
    assert published <= set(items)


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
    assert small.layers == 6 and small.width == 64 and small.patches == 16
    side = options_class("side4video")(layers=12, width=320).model_dump(mode="json")
    here = map_options("side4video", side, b16, small)
    assert (here["layers"], here["width"]) == (6, 24)  # all layers; 320/768 of 64, in eights
    assert map_options("side4video", side, l14, small)["layers"] == 3
    assert map_options("side4video", side, b16, b16) == side
    tempme = options_class("tempme")().model_dump(mode="json")
    here = map_options("tempme", tempme, mini.config.backbones["vit-b32"], small)
    assert here["merge_layers"] == [3, 4, 5] and here["img_merge"] == 1
    assert map_options("tempme", {**tempme, "img_merge": 0}, b16, small)["img_merge"] == 0
    evl = options_class("evl")(layers=4).model_dump(mode="json")
    here = map_options("evl", evl, b16, small)
    assert (here["layers"], here["width"]) == (2, 0)  # 0 stays what it says: the trunk's


def test_scales_keep_variants_apart(mini):
    assert len(mini.models) == len(mini.variants)
    run = mini.runs["side4video/b16-ssv1@2"]
    assert (run.seed, run.scale, run.model.backbone.name) == (2, "mini", "mini")
    assert run.model.classes == run.dataset.classes != 174
    assert mini.models["side4video/b16-ssv1"].classes == 174
    smoke = load(REPO / "config", {"scale": "smoke"})
    patterns = smoke.scale.learn
    assert {r.model.name for r in smoke.runs.values()} == {
        v for v in smoke.variants if any(fnmatch(v, p) for p in patterns)
    }
    full = load(REPO / "config", {"scale": "full"})
    assert full.runs["side4video/b16-ssv2@0"].recipe.epochs == 30
    assert full.runs["side4video/b16-ssv2@0"].model == full.models["side4video/b16-ssv2"]
    assert not full.pretrainings and not full.generated


def test_every_training_of_a_scale_has_the_same_seeds(mini):
    longer, other = (load(REPO / "config", {"scale": s}) for s in ("mini-long", "mini-other"))
    for plan, seeds in ((mini, range(3)), (longer, range(6)), (other, range(6))):
        trained = {r.model.name for r in plan.runs.values()}
        assert set(plan.runs) == {f"{v}@{k}" for v in trained for k in seeds}


def test_another_data_seed_changes_the_videos_alone(mini):
    other = load(REPO / "config", {"scale": "mini-other"})
    (videos,) = other.generated.values()
    assert videos == mini.generated["motion"].model_copy(update={"name": "motion-other", "seed": 2})
    ours, theirs = (p.runs["side4video/b16-ssv1@0"] for p in (mini, other))
    assert theirs.data == "data/motion-other" and theirs.recipe == ours.recipe
    assert theirs.model == ours.model
    assert theirs.weights == "results/mini-other/backbones/mini/clip.pt"


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


def test_one_sampler_for_all_methods_of_a_table(mini):
    """A table compares methods, not samplers."""
    for paper in mini.config.papers.values():
        for numbers in paper.numbers:
            names = {f"{paper.name}/{row}" for row in numbers.rows}
            recipes = {r.recipe for r in mini.runs.values() if r.model.name in names}
            for task in ("recognition", "retrieval"):
                taken = [r for r in recipes if r.task == task]
                assert len({(r.sampler, r.fps, r.random_train_frames) for r in taken}) <= 1


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


def test_plan_estimates(vidtune):
    code, out, _ = vidtune("plan", "--json")
    jobs = json.loads(out)
    assert code == 0 and jobs["seconds_2_cores"] <= 40 * 60
    assert {r["rule"] for r in jobs["rules"]} >= {"generate", "pretrain", "learn", "cost", "report"}
    seconds = {r["rule"]: r["seconds"] / r["jobs"] for r in jobs["rules"] if r["jobs"]}
    scale = load(REPO / "config").scale
    assert seconds["learn"] == pytest.approx(3 * scale.seconds["learn"])  # a job has three seeds
    assert seconds["pretrain"] == scale.seconds["pretrain"]
    full = json.loads(vidtune("plan", "--scale", "full", "--json")[1])
    assert full["seconds_2_cores"] is None  # nobody has measured it
    assert any("ViT-B-16.pt" in d for d in full["downloads"])
    assert any(d.startswith("ssv2: ") and d.endswith("in data/ssv2") for d in full["bring"])


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


def test_a_new_paper_is_trained_at_the_default_scale(config):
    """As the README says of one file and one yaml."""
    (config / "papers" / "mine.yaml").write_text(
        "cite: {key: me2026, title: Mine, arxiv: '2601.00000', code: me/mine@0123abc}\n"
        "variants:\n"
        "  b16-ssv1: {method: side4video, backbone: vit-b16, dataset: ssv1, frames: 8, "
        "recipe: side4video-ss1-b}\n"
    )
    settings = config / "config.yaml"
    settings.write_text(settings.read_text().replace("[side4video, tempme]", "[mine]"))
    plan = load(config)
    assert plan.scale.name == "mini" and set(plan.runs) == {f"mine/b16-ssv1@{k}" for k in range(3)}


def test_mini_trains_every_method_and_all_that_tempme_ablates(mini):
    """Larger trunks, more frames and what takes long are left to full scale."""
    trained = {r.model.name for r in mini.runs.values()}
    methods = {mini.models[name].method for name in trained}
    assert {v.method for v in mini.variants.values()} == methods
    for name in ("st-adapter", "aim", "evl", "dist"):
        assert f"side4video/{name}-b16" in trained
    assert not [name for name in trained if "l14" in name]
    for where in ("Table 1", "Table 8", "Table 9", "Table 10", "Table 15", "Table 16"):
        for numbers in mini.config.papers["tempme"].numbers:
            if numbers.where == where:
                assert {f"tempme/{row}" for row in numbers.rows} <= trained


def test_equal_runs_are_one(mini):
    assert mini.run_of("tempme/lora-b16") == "tempme/lora-b32"
    assert mini.run_of("tempme/lora-b32") == "tempme/lora-b32"
    assert mini.run_of("side4video/l14-ssv2") is None  # not trained
    assert mini.same_run("side4video/b16-ssv1", "side4video/b16-ssv2")
    assert not mini.same_run("side4video/b16-ssv1", "side4video/b16-ssv1-no-shift")
    assert not mini.same_run("side4video/l14-ssv1-f16", "side4video/l14-ssv2-f16")
    assert mini.evaluation_of["tempme/lora-b16@2"] == "tempme/lora-b32@2"
    assert mini.training_of == mini.evaluation_of  # one view
    specs = {str(p.relative_to(mini.root / "specs")) for p in mini.specs()}
    assert "runs/tempme/lora-b32@0.json" in specs and "runs/tempme/lora-b16@0.json" not in specs
    learned = {first.rpartition("@")[0] for first in mini.evaluation_of.values()}
    assert mini.counts()["learn"] == len(learned) and "train" not in mini.counts()
    assert 3 * len(learned) == len({*mini.training_of.values()}) < len(mini.runs)


def test_runs_that_differ_in_views_share_their_training():
    full = load(REPO / "config", {"scale": "full"})
    shared = {run: first for run, first in full.training_of.items() if run != first}
    assert {run.split("/")[1]: first.split("/")[1] for run, first in shared.items()} == {
        "b16-ssv1-f8@0": "b16-ssv1@0",
        "b16-ssv2-f8@0": "b16-ssv2@0",
        "l14-ssv2-f8@0": "l14-ssv2@0",
        "e14-ssv1-f8@0": "e14-ssv1-interval@0",
    }
    assert all(full.evaluation_of[run] == run for run in full.runs)
    assert full.counts()["train"] == full.counts()["evaluate"] - 4 == len(full.runs) - 4
    assert not full.same_run("side4video/b16-ssv1-f8", "side4video/b16-ssv1")


def test_figure_4_is_trained_on_shares_of_the_clips(mini):
    full = load(REPO / "config", {"scale": "full"})
    (figure,) = (n for n in mini.config.papers["side4video"].numbers if n.where == "Figure 4")
    for row in figure.rows:
        name, _, percent = f"side4video/{row}".partition("-share")
        variant, whole = f"side4video/{row}", "e14-ssv2-f8" if "e14" in row else name.split("/")[1]
        run = full.runs[f"{variant}@0"]
        all_clips = full.runs[f"side4video/{whole}@0"]
        assert run.train_share == float(percent or 100) / 100
        same = {"name": "", "train_share": 1.0}
        assert run.model.model_copy(update={"name": ""}) == all_clips.model.model_copy(
            update={"name": ""}
        )
        assert run.model_copy(update=same).recipe == all_clips.recipe
        assert (f"{variant}@0" in mini.runs) == (not percent or "e14" not in row)
    assert mini.run_of("side4video/b16-ssv2-share5") == "side4video/b16-ssv2-share5"


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
