"""How batches are split so that they fit: a pure function, and the table that is made of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune.cost import fits, predict_step
from vidtune.cost.fits import CONTEXT, FRAGMENTS, Choice, Need, Speed, choose, room_of, splits
from vidtune.spec import Recipe, UserError, Workload, load_json, parse_gpus, write_json
from vidtune.spec.recipe import Augment, Selection

# 10 GiB without clips, 1 GiB a clip; from 20 clips on another moment's 0 and 1.5 GiB
GFLOPS = {"encode": 1000.0, "step": 3000.0, "view": 500.0}
NEED = Need(
    lines=((10.0, 1.0), (0.0, 1.5)), gradients=2.0, clip=0.25, test=5.0, gflops=GFLOPS, mixes=False
)


def gpu(room: float) -> float:
    """GiB of a GPU that leaves as much room."""
    return room / (1 - FRAGMENTS) + CONTEXT + 1e-9


def recipe(task: str = "recognition", **fields: object) -> Recipe:
    given = {"name": "r", "task": task, "lr": 1.0, "weight_decay": 0.0, "epochs": 2, "batch": 64}
    return Recipe.model_validate(given | fields)


def test_a_part_of_a_batch_needs_its_own_clips():
    one = recipe()
    assert NEED.peak(one, 8, 1) == 18
    assert NEED.peak(one, 1, 1) == 96  # the steeper line
    assert NEED.peak(one, 1, 2) == 48 + 2  # gradients are added up
    assert NEED.peak(one, 1, 8) == 18 + 3 * 2  # by halves: of 4, 2 and 1 part
    assert NEED.peak(recipe("retrieval"), 1, 8) == 18 + 3 * 2 + 56 / 4  # and 56 clips wait
    assert NEED.peak(recipe("retrieval"), 8, 1) == 18
    twice = recipe(augment=Augment(flip=0.5, repeats=2))
    assert NEED.peak(twice, 8, 1) == 26


@pytest.mark.parametrize(
    ("fields", "gpus", "room", "found"),
    [
        ({}, 8, 18, (8, 1, 8, 18)),
        ({}, 8, 17.9, (8, 2, 4, 16)),
        ({}, 1, 24, (1, 8, 8, 24)),
        ({}, 3, 32, (2, 2, 16, 28)),  # 3 divides no batch of 64
        ({}, 100, 18, (64, 1, 1, 11)),
        ({"group": 16}, 8, 28, (4, 1, 16, 26)),  # 8 GPUs would have 8 clips each
        ({"group": 16}, 2, 28, (2, 1, 16, 28)),  # each takes its clips group by group
        ({"group": 16}, 1, 30, (1, 1, 16, 30)),
        ({"group": 16, "task": "retrieval"}, 1, 102, (1, 1, 64, 100)),  # but compares all of them
        ({"group": 16, "task": "retrieval"}, 1, 50, (1, 2, 16, 42)),
    ],
)
def test_most_gpus_then_fewest_parts(fields, gpus, room, found):
    assert choose(recipe(**fields), NEED, gpus, gpu(room)) == Choice(*found)


def test_what_cannot_fit_is_one_line():
    says = choose(recipe(group=16), NEED, 8, 20)
    assert says == (
        "16 clips, computed together, need 26.0 GiB of the 18.2 that a GPU of 20 GiB has beside CUDA "
        "and fragments"
    )
    few = recipe(batch=8)
    assert choose(few, NEED, 8, gpu(10)).startswith("a clip needs 11.0 GiB of the 10.0 ")
    assert choose(recipe(), NEED, 8, gpu(4.5)).startswith(
        "a test of one clip at once needs 5.0 GiB of the 4.5 "
    )


def test_blocks_are_computed_again_only_where_nothing_fits_otherwise():
    again = {**GFLOPS, "recomputed": 4000.0}
    less = NEED.model_copy(update={"recomputed": ((10.0, 0.5),), "gflops": again})
    one = recipe(group=16)
    assert choose(one, less, 1, gpu(30)) == Choice(1, 1, 16, 30)
    assert choose(one, less, 8, gpu(20)) == Choice(4, 1, 16, 18, recompute=True)
    assert choose(one, less, 1, gpu(22)) == Choice(1, 1, 16, 22, recompute=True)
    assert choose(one, less, 8, gpu(17)).startswith("16 clips, computed together, need 18.0 GiB")


def test_a_model_of_whole_batches_is_not_split_whatever_its_recipe_says():
    whole = NEED.model_copy(update={"whole": True})
    assert choose(recipe(group=8), whole, 8, gpu(96)) == Choice(1, 1, 64, 96)


def test_a_test_in_a_training_stands_beside_its_moments():
    assert isinstance(choose(recipe(), NEED, 8, gpu(18)), Choice)
    chosen = recipe(select=Selection(metric="top1"))
    heavy = NEED.model_copy(update={"gradients": 7.0})
    assert choose(chosen, heavy, 8, gpu(18)).startswith(
        "a test of one clip at once needs 19.0 GiB of the 18.0 "
    )


def test_without_a_group_a_model_that_mixes_clips_is_not_split():
    mixes = NEED.model_copy(update={"mixes": True})
    assert list(splits(64, 8, 64)) == [(1, 1)]
    assert choose(recipe(), mixes, 8, gpu(96)) == Choice(1, 1, 64, 96)
    assert isinstance(choose(recipe(), mixes, 8, gpu(95)), str)
    assert choose(recipe(group=8), mixes, 8, gpu(96)) == Choice(8, 1, 8, 18)


def test_every_split_divides_the_batch_into_groups():
    for batch, gpus, group in ((128, 8, 16), (192, 8, 1), (60, 7, 6)):
        for ranks, parts in splits(batch, gpus, group):
            assert ranks <= gpus and batch % (ranks * parts * group) == 0


def test_hours_are_operations_over_speed(plan):
    run = plan.runs["side4video/b16-ssv1@0"]
    one = run.model_copy(update={"recipe": recipe(), "train_share": 0.5})
    alone, eight = Choice(1, 8, 8, 0.0), Choice(8, 1, 8, 0.0)
    speed = Speed(half=100.0, single=10.0)
    # 2 epochs of 7 steps of 64 clips, of half of 900 clips
    assert fits.training_hours(one, (900, 30), NEED, eight, speed) == pytest.approx(
        2 * 7 * 64 * 3.0 / (8 * 10) / 3600
    )
    half = one.model_copy(update={"recipe": recipe(precision="amp16")})
    assert fits.training_hours(half, (900, 30), NEED, alone, speed) == pytest.approx(
        2 * 7 * 64 * 3.0 / 100 / 3600
    )
    again = NEED.model_copy(update={"gflops": {**GFLOPS, "recomputed": 4000.0}})
    assert fits.training_hours(
        one, (900, 30), again, eight._replace(recompute=True), speed
    ) == pytest.approx(2 * 7 * 64 * 4.0 / (8 * 10) / 3600)
    retrieval = one.model_copy(update={"recipe": recipe("retrieval", weights="fp16")})
    assert fits.training_hours(retrieval, (900, 30), NEED, alone, speed) == pytest.approx(
        2 * 7 * 64 * 4.0 / 100 / 3600  # its features are computed twice
    )
    views = one.model_copy(update={"model": one.model.model_copy(update={"views": "3x4"})})
    assert fits.test_hours(views, (None, 1000), NEED, alone, speed) == pytest.approx(
        1000 * 12 * 0.5 / 10 / 3600
    )
    selects = views.model_copy(
        update={"recipe": recipe(select=Selection(metric="top1", first=True))}
    )
    assert fits.test_hours(selects, (900, 1000), NEED, alone, speed) == pytest.approx(
        2 * 1000 * 12 * 0.5 / 10 / 3600  # of the last and of the best weights
    )
    assert fits.training_hours(selects, (900, 1000), NEED, alone, speed) == pytest.approx(
        (2 * 7 * 64 * 3.0 + 3 * 1000 * 0.5)
        / 10
        / 3600  # tested after the first step and two epochs
    )
    assert fits.training_hours(one, (None, 30), NEED, alone, speed) is None
    assert fits.test_hours(one, (900, None), NEED, alone, speed) is None


def test_every_dataset_says_how_many_clips_an_epoch_takes(plan):
    full = plan_at(plan.root, "full")
    known = {run.dataset.name: fits.items_of(full, run.dataset.name) for run in full.runs.values()}
    assert all(items and videos for items, videos in known.values()), known
    assert known["ssv2"] == (168913, 24777) and known["msrvtt"] == (180000, 1000)


@pytest.mark.parametrize("text", ["8", "x80GiB", "8x80", "0x80GiB", "8 GPUs", ""])
def test_what_are_no_gpus(text, config, vidtune):
    with pytest.raises(UserError, match="such as 8x80GiB"):
        parse_gpus(text)
    path = config / "config.yaml"
    path.write_text(path.read_text().replace("gpus: null", f"gpus: {text!r}"))
    code, _, err = vidtune("ls", "--config", config)
    assert code == 2 and "gpus: " in one_line(err) and "such as 8x80GiB" in err


def test_gpus():
    assert parse_gpus("8x80GiB") == (8, 80 << 30)
    assert parse_gpus(" 2 x 24 GB") == (2, 24 * 10**9)


def pretend(missing: dict[Path, Workload], line: list[float]) -> None:
    """Write predictions in which a test of TempMe fits no GPU."""
    for path, load in missing.items():
        test = 99.0 if load.model.method == "tempme" else 1.0
        found = {"lines": [line], "gradients": 0.1, "clip": 0.01, "test": test, "gflops": GFLOPS}
        write_json(path, found | {"mixes": False, "provenance": {}})


def test_predictions_are_kept_with_their_provenance(tmp_path):
    """By processes of their own."""
    small = plan_at(tmp_path, "smoke")
    (path, load), *_ = fits.missing(small).items()
    predict_step.keep({path: load})
    assert Need.read(path).lines and load_json(path)["provenance"]["spec"]
    assert path not in fits.missing(small)


def test_the_table_of_a_scale(vidtune, tmp_path, monkeypatch):
    """Predictions are made once; a row that does not fit says why."""
    calls = []
    keep = "vidtune.cost.predict_step.keep"
    monkeypatch.setattr(keep, lambda missing: calls.append(pretend(missing, [1.0, 0.1])))
    given = ("plan", "--scale", "smoke", "--results", tmp_path, "--gpus", "2x8GiB")
    code, out, _ = vidtune(*given)
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert "does not fit: a test of one clip at once needs 99.0 GiB" in lines["tempme/tempme-b32"]
    assert lines["side4video/b16-ssv1"].split()[1:5] == ["2", "1", "8", "1.8"]
    assert "7 of 8 variants fit 2 x 8 GiB" in out and "Nothing is measured" in out
    code, out, _ = vidtune(*given, "--json", "--tflops", 50, 5)
    result = json.loads(out)
    assert code == 0 and len(calls) == 1
    assert (result["gpus"], result["gib"], result["half"]) == (2, 8.0, 50.0)
    assert len(result["rows"]) == 8 and all("hours" in r or "why" in r for r in result["rows"])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--gpus", "8"), "such as 8x80GiB"),
        (("--gpus", "8x80GiB", "--tflops", 0, 1), "--tflops: expected two numbers above 0"),
    ],
)
def test_bad_input(vidtune, args, says):
    code, _, err = vidtune("plan", *args)
    assert code == 2 and says in one_line(err)


def test_the_workflow_takes_the_same_split(plan, tmp_path, monkeypatch, capsys):
    """Where the configuration names GPUs: runs that fit have ranks and parts, others are left out."""
    from vidtune.workflow import Workflow

    given = {"scale": "smoke", "results": str(tmp_path), "gpus": "2x8GiB"}
    monkeypatch.chdir(REPO)
    command = f"vidtune plan --scale smoke --results {tmp_path} --gpus 2x8GiB"
    with pytest.raises(UserError, match=f"run `{command}`"):
        Workflow(given)
    small = plan_at(tmp_path, "smoke")
    pretend(fits.missing(small), [room_of(8.0) - 4.0, 0.5])
    made = Workflow(given)
    name = "side4video/b16-ssv1@0"
    assert (made.gpus_of(name), made.parts_of(name)) == (2, 1)
    assert "tempme/tempme-b32@0" not in made.runs and "tempme/tempme-b32@0" in made.too_large
    without = Workflow({**given, "gpus": None})
    assert (without.gpus_of(name), without.parts_of(name)) == (1, 1)
    assert made.recompute_of(name) == without.recompute_of(name) == "--no-recompute"
    assert "tempme/tempme-b32@0" in without.runs
    less = {"lines": [[99.0, 0.5]], "recomputed": [[1.0, 0.1]]}
    for path in (small.root / "steps").iterdir():
        gflops = {**GFLOPS, "recomputed": 4000.0}
        write_json(path, {**load_json(path), **less, "gflops": gflops})
    assert Workflow(given).recompute_of(name) == "--recompute"


def test_no_torch():
    code = "import sys, vidtune.cost.fits; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPO)
