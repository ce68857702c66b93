"""What each scale trains, with which seeds, and which of its runs are the same."""

import json
import math
from fnmatch import fnmatch

import pytest
from helpers.common import REPO

from vidtune.cli.ask.stale import trained_for
from vidtune.plan import load
from vidtune.report.numbers.result_files import eval_path
from vidtune.spec import UserError


@pytest.fixture(scope="module")
def mini():
    return load(REPO / "config")


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


def test_more_seeds_add_runs_to_those_of_the_scale():
    full, more = (
        load(REPO / "config", {"scale": "full", **s}) for s in ({}, {"seeds": ["0", "1"]})
    )
    assert len(more.runs) == 2 * len(full.runs) and full.runs.items() <= more.runs.items()
    for seeds in ([], [1, 1]):
        with pytest.raises(UserError, match="seeds: expected distinct numbers from 0; found"):
            load(REPO / "config", {"seeds": seeds})


def test_every_training_of_a_scale_has_the_same_seeds(mini):
    longer, other = (load(REPO / "config", {"scale": s}) for s in ("mini-long", "mini-other"))
    for plan, seeds in ((mini, range(3)), (longer, range(6)), (other, range(3))):
        trained = {r.model.name for r in plan.runs.values()}
        assert set(plan.runs) == {f"{v}@{k}" for v in trained for k in seeds}


def test_another_data_seed_changes_the_videos_alone(mini):
    other = load(REPO / "config", {"scale": "mini-other"})
    assert set(other.generated) == {f"{name}-other" for name in mini.generated}
    for name, videos in mini.generated.items():
        twin = other.generated[f"{name}-other"]
        assert twin == videos.model_copy(update={"name": f"{name}-other", "seed": 2})
    ours, theirs = (p.runs["side4video/b16-ssv1@0"] for p in (mini, other))
    assert theirs.data == "data/motion-other" and theirs.recipe == ours.recipe
    assert theirs.model == ours.model
    assert theirs.weights == "results/mini-other/backbones/mini/clip.pt"


def test_autocast_at_full_scale_differs_in_precision_and_rates_alone():
    full, amp = (load(REPO / "config", {"scale": s}) for s in ("full", "full-amp"))
    has = {name for name, v in full.variants.items() if f"{v.recipe}-amp" in full.config.recipes}
    assert {r.model.name for r in amp.runs.values()} == has
    assert has >= {r.model.name for r in full.runs.values() if r.recipe.weights == "fp16"}
    other = {"name", "weights", "precision", "backbone_lr", "source"}
    for name, run in amp.runs.items():
        twin = full.runs[name]
        changed = {"name": run.recipe.name, "source": run.recipe.source, "precision": "amp16"}
        changed |= {"weights": "fp32", "backbone_lr": run.recipe.backbone_lr}
        assert run.recipe == twin.recipe.model_copy(update=changed) and set(changed) == other
        assert (run.model, run.dataset, run.weights) == (twin.model, twin.dataset, twin.weights)


def test_what_is_stale_at_full_scale_is_trained_anew(mini, tmp_path):
    """Trainings are jobs of their own there, which a test that is repeated would not repeat."""
    full = load(REPO / "config", {"scale": "full", "results": str(tmp_path)})
    tested = str(eval_path(full, "side4video/b16-ssv2-f8@0"))
    mark = str(full.root / "trained" / full.training_of["side4video/b16-ssv2-f8@0"])
    assert trained_for(full, [tested]) == [mark]
    assert trained_for(mini, [str(eval_path(mini, "tempme/tempme-b32@0"))]) == []


def test_runs_see_the_scales_share_of_the_declared_frames(mini):
    assert mini.scale.frames == load(REPO / "config", {"scale": "mini-other"}).scale.frames == 0.5
    for run in mini.runs.values():
        assert 2 * run.model.frames == mini.models[run.model.name].frames
        assert 2 * run.model.frames == mini.variants[run.model.name].frames
        if run.model.method == "tempme":  # as many clips in the end as of the declared frames
            joins = (m.options["merge_frames"] for m in (run.model, mini.models[run.model.name]))
            assert 2 * math.prod(next(joins)) == math.prod(next(joins))
    run = mini.runs["tempme/tempme-b32@0"].model
    assert (run.frames, run.options["merge_frames"]) == (6, [2, 3, 1])
    assert mini.runs["side4video/dist-b16@0"].model.frames == 8
    assert {task: p.frames for task, p in mini.premises["mini"].probes.items()} == {
        "recognition": 4,
        "retrieval": 6,
    }
    full = load(REPO / "config", {"scale": "full"})
    assert full.scale.frames == 1 and full.models == mini.models
    assert all(run.model.frames == full.models[run.model.name].frames for run in full.runs.values())


@pytest.mark.parametrize(
    ("share", "problem"),
    [
        ("0.3", "mini: side4video/b16-ssv2: frames: expected a share of 8 frames that is whole; "),
        ("0.25", r"mini: tempme/tempme-b32: frames: none of the joins \[2, 2, 3\] leaves a whole"),
        ("0", "smoke.frames: .*greater than 0"),
    ],
)
def test_a_share_of_the_frames_that_does_not_fit_is_one_line(config, share, problem):
    scales = config / "scales.yaml"
    scales.write_text(scales.read_text().replace("  frames: 0.5\n", f"  frames: {share}\n"))
    with pytest.raises(UserError, match=problem) as e:
        load(config)
    assert "scales.yaml" in str(e.value) and "\n" not in str(e.value)


def test_a_recipe_is_chosen_by_its_name_or_by_the_variants(mini):
    recipes = {v: mini.runs[f"side4video/{v}@0"].recipe.name for v in ("b16-ssv2", "dist-b16")}
    assert recipes == {"b16-ssv2": "mini-recognition", "dist-b16": "mini-dist"}
    for share in ("share5", "share50"):
        names = [
            mini.runs[f"side4video/{m}-{share}@0"].recipe.name for m in ("b16-ssv2", "dist-b16")
        ]
        assert names == ["mini-shares", "mini-dist-shares"]


def test_a_pattern_of_recipes_that_matches_nothing_is_one_line(config):
    scales = config / "scales.yaml"
    scales.write_text(scales.read_text().replace("side4video/*-share*: m", "side4video/*-part*: m"))
    with pytest.raises(UserError, match=r"mini.recipes: 'side4video/\*-part\*' matches no recipe"):
        load(config)


def test_one_sampler_for_all_methods_of_a_table(mini):
    """A table compares methods, not samplers."""
    for paper in mini.config.papers.values():
        for numbers in paper.numbers:
            names = {f"{paper.name}/{row}" for row in numbers.rows}
            recipes = {r.recipe for r in mini.runs.values() if r.model.name in names}
            for task in ("recognition", "retrieval"):
                taken = [r for r in recipes if r.task == task]
                assert len({(r.sampler, r.fps, r.random_train_frames) for r in taken}) <= 1


def test_plan_estimates(vidtune, tmp_path):
    code, out, _ = vidtune("plan", "--json", "--results", tmp_path)
    jobs = json.loads(out)
    assert code == 0 and jobs["seconds_2_cores"] <= 20 * 60
    assert {r["rule"] for r in jobs["rules"]} >= {"generate", "pretrain", "learn", "cost", "report"}
    seconds = {r["rule"]: r["seconds"] / r["jobs"] for r in jobs["rules"] if r["jobs"]}
    scale = load(REPO / "config").scale
    assert seconds["learn"] == pytest.approx(3 * scale.seconds["learn"])  # a job has three seeds
    assert seconds["pretrain"] == scale.seconds["pretrain"]
    full = json.loads(vidtune("plan", "--scale", "full", "--json")[1])
    assert full["seconds_2_cores"] is None  # nobody has measured it
    assert any("ViT-B-16.pt" in d for d in full["downloads"])
    assert any(d.startswith("ssv2: ") and d.endswith("in data/ssv2") for d in full["bring"])


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


def test_mini_trains_nearly_every_method_and_all_that_tempme_ablates(mini):
    """Larger trunks, more frames and what takes long are left to full scale."""
    trained = {r.model.name for r in mini.runs.values()}
    methods = {mini.models[name].method for name in trained}
    left_out = {v.method for v in mini.variants.values()} - methods
    assert left_out == {"adapter", "cross_modal_adapter", "tome"}  # no learned number is known
    for name in ("st-adapter", "aim", "evl", "dist"):
        assert f"side4video/{name}-b16" in trained
    assert not [name for name in trained if "l14" in name]
    assert {name for name in trained if "e14" in name} == {
        "side4video/e14-ssv1-top",  # Table 9 (a) fuses at ViT-E alone
        "side4video/e14-ssv1-interval",
    }
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
    assert mini.spec_of("runs", "tempme/lora-b32@0") in mini.specs()
    assert mini.spec_of("runs", "tempme/lora-b16@0") not in mini.specs()
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
        assert (f"{variant}@0" in mini.runs) == ("e14" not in row)
    assert mini.run_of("side4video/b16-ssv2-share5") == "side4video/b16-ssv2-share5"
