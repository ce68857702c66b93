"""A batch may be split over processes and into parts: nothing that is learned or measured changes."""

import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import split_steps
from helpers.common import REPO
from helpers.started import trained, vidtune
from helpers.zoo import MODELS, every_model

from vidtune.data import records
from vidtune.data.batches import Batches, Split
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.train import Training, _check_split
from vidtune.plan import load
from vidtune.spec import Recipe, Run, UserError, load_json, write_json

BATCHNORM = "side4video/b16-ssv1@0"
GATHERED = "side4video/b32-msrvtt@0"
TRAINED = [BATCHNORM, GATHERED, "tempme/tempme-b32@0"]
SPLITS = (("--parts", 1), ("--ranks", 2), ("--parts", 2))


@pytest.fixture(scope="module")
def on_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """What `split_steps.step_of` gives for every model, computed by two processes."""
    out = tmp_path_factory.mktemp("ranks") / "found.pt"
    split_steps.in_processes("helpers.split_steps", 2, out)
    return torch.load(out, weights_only=True)


def same(one: Any, other: Any) -> None:
    """Equal but for the order of sums in double precision."""
    assert one[0] == pytest.approx(other[0], rel=1e-12)
    assert one[1].keys() == other[1].keys()
    for a, b in zip(one[1:], other[1:], strict=True):
        for name in a:
            error = (a[name].double() - b[name].double()).norm()
            assert error <= 1e-11 * (1 + b[name].double().norm()), name


@every_model
def test_parts_have_the_gradients_of_the_batch(m):
    same(split_steps.step_of(m, Split(parts=2)), split_steps.step_of(m, Split()))


@every_model
def test_ranks_have_the_gradients_of_the_batch(m, on_two_ranks):
    same(on_two_ranks[MODELS.index(m)], split_steps.step_of(m, Split()))


def test_a_parameter_of_encoder_and_similarity_has_the_gradient_of_the_batch(on_two_ranks):
    whole = split_steps.step_of(split_steps.SHARES, Split(), shared=True)
    same(on_two_ranks[-1], whole)
    same(split_steps.step_of(split_steps.SHARES, Split(parts=2), shared=True), whole)


def test_a_batchnorm_of_torch_is_not_split(short_run, tmp_path, monkeypatch):
    run = short_run("tempme/lora-b32@0")
    model, _ = build_run(run, torch.device("cpu"))
    model.bn = torch.nn.BatchNorm1d(4)
    with pytest.raises(UserError, match=r"BatchNorm1d of torch follows from how a batch is split"):
        _check_split(model, run, Split(parts=2))
    _check_split(model, run, Split())


def test_a_model_with_a_batchnorm_of_torch_takes_whole_batches(short_run, tmp_path, monkeypatch):
    """Whatever groups its recipe has, for its running statistics would move with each."""
    run = short_run("tempme/lora-b32@0", group=2)

    def training() -> Training:
        return Training(run, tmp_path / "resume.pt", torch.device("cpu"), Batches, Split())

    def plain(*given: Any) -> Any:
        model, pretrained = build_run(*given)
        model.bn = torch.nn.BatchNorm1d(4)
        return model, pretrained

    assert training().data.work.pieces == 4
    monkeypatch.setattr("vidtune.engine.train.build_run", plain)
    data = training().data
    assert data.work.pieces == 1 and len(next(data.from_step(0)).target) == 8
    mixed = {"flip": 0.5, "mixup": 0.8}
    run = short_run(BATCHNORM, group=2)
    with pytest.raises(
        UserError, match=r"BatchNorm1d of torch takes a whole batch, TokenBatchNorm gr"
    ):
        training()
    run = short_run("side4video/b16-ssv1-probe@0", group=2, augment=mixed)
    with pytest.raises(UserError, match=r"BatchNorm1d of torch .* mixup groups of 2 clips; build"):
        training()


def test_a_share_of_the_clips_that_is_less_than_a_batch_is_split_as_well(short_run, tmp_path):
    """23 clips of a batch of 32 in 4 groups are 20 a step, in 4 of 5, or all of them and one again."""
    run = short_run(BATCHNORM, batch=32, group=8)
    data = Path(shutil.copytree(run.data, tmp_path / "data"))
    lines = (data / "train.jsonl").read_text().splitlines(keepends=True)
    (data / "train.jsonl").write_text("".join(lines[:23]))
    for keeps, size in ((False, 20), (True, 24)):
        recipe = run.recipe.model_copy(update={"keep_last": keeps})
        few = run.model_copy(update={"data": str(data), "recipe": recipe})
        losses, weights = curves(few, tmp_path / str(keeps))
        assert losses[0] == losses[1] == losses[2] and weights[0] == weights[1] == weights[2]
        pieces = list(islice(Batches(few, "train", True, torch.device("cpu")).from_step(0), 4))
        assert [len(piece.target) for piece in pieces] == [size // 4] * 4
        assert len(set(torch.cat([piece.rows.keys for piece in pieces]).tolist())) == min(size, 23)


@pytest.mark.parametrize(
    ("fields", "clips", "groups", "size"),
    [
        ({"batch": 64, "group": 32}, 1000, 2, 64),
        ({"batch": 64, "group": 32}, 56, 2, 56),
        ({"batch": 256, "group": 4}, 127, 32, 96),
        ({"batch": 256, "group": 4}, 3, 1, 3),
        ({"batch": 8, "group": 1}, 5, 4, 4),
        ({"batch": 32, "group": 8, "keep_last": True}, 23, 4, 24),
        ({"batch": 32, "group": 8, "keep_last": True, "task": "retrieval"}, 23, 4, 20),
        ({"batch": 32}, 23, 1, 23),
    ],
)
def test_fewer_clips_than_a_batch_make_groups_of_one_size(fields, clips, groups, size):
    """No larger than the recipe's, and such that its splits mostly split them."""
    given = {"name": "r", "task": "recognition", "lr": 1.0, "weight_decay": 0.0, "epochs": 1}
    recipe = Recipe.model_validate(given | fields)
    assert (recipe.groups(clips), recipe.size(clips)) == (groups, size)


@pytest.mark.parametrize("name", TRAINED)
def test_a_training_and_its_test_do_not_depend_on_the_split(
    name: str, short_run: Callable[..., Run], tmp_path: Path
):
    """Fifty steps in one process, in two, and in parts, at the small scales' own rates, which are 8 to 50
    times the papers' and let any rounding grow: to the bit, for all compute the same four groups and add
    them in the same order."""
    gathered_by = 3 if name == GATHERED else 1  # no power of two, which divides exactly
    run = short_run(name, steps=50, group=2, gathered_by=gathered_by)
    losses, weights = curves(run, tmp_path)
    assert len(losses[0]) == 50
    assert losses[0] == losses[1] == losses[2]
    assert weights[0] == weights[1] == weights[2]
    folder, metrics = tmp_path / "--ranks2", []
    for ranks in (1, 2):
        out = folder / f"eval{ranks}.json"
        given = ("--spec", folder / "spec.json", "--checkpoint", folder / "model.pt", "--out", out)
        done = vidtune("evaluate", *given, "--ranks", ranks)
        assert done.returncode == 0, done.stderr
        metrics.append(load_json(out)["metrics"])
    assert metrics[0] == metrics[1] and metrics[0]


def curves(run: Run, folder: Path) -> tuple[list[list[list[float]]], list[dict[str, Any]]]:
    """The losses of a run and its weights, for each of `SPLITS`."""
    losses, weights = [], []
    for split in SPLITS:
        model = trained(run, folder / "".join(map(str, split)), *split)
        losses.append(load_json(model.with_name("train.json"))["losses"])
        state = load_checkpoint(model)["state"]
        weights.append({name: x.tolist() for name, x in state.items()})
    return losses, weights


@pytest.mark.parametrize("name", ["side4video/clip4clip-b32-msrvtt@0", "tempme/tempme-b32@0"])
def test_without_groups_rounding_alone_depends_on_the_split(
    name: str, short_run: Callable[..., Run], tmp_path: Path
):
    """Fifty steps at the paper's rate for that task; parts of one size are equal to the bit."""
    declared = load(REPO / "config", {"scale": "full"}).runs[name].recipe
    rates = {"lr": declared.lr, "backbone_lr": declared.backbone_lr}
    (whole, *others), _ = curves(short_run(name, steps=50, **rates), tmp_path)
    assert others[0] == others[1]
    assert others[0] == [[k, pytest.approx(loss, rel=1e-5)] for k, loss in whole]


def test_without_groups_no_split_changes_a_training_in_double_precision(
    short_run: Callable[..., Run], tmp_path: Path
):
    """Fifty steps at the small scales' own rate."""
    write_json(tmp_path / "spec.json", short_run("tempme/tempme-b32@0", steps=50))
    losses = []
    for ranks, splits in ((1, ("1", "2")), (2, ("1",))):
        out = tmp_path / str(ranks)
        split_steps.in_processes("helpers.in_double", ranks, tmp_path / "spec.json", out, *splits)
        facts = [load_json(out / parts / "train.json") for parts in splits]
        losses += [[loss for _, loss in f["losses"]] for f in facts]
    assert len(losses[0]) == 50
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-5)


@pytest.mark.parametrize(
    ("group", "given", "said"),
    [
        (4, ("--parts", 3), "a batch has 8 clips, which 1 processes cannot take in 3 equal parts"),
        (
            4,
            ("--parts", 4),
            "has 2 clips; expected a multiple of 4, which recipe smoke-recognition",
        ),
        (None, ("--ranks", 2, "--parts", 4), "TokenBatchNorm computes all clips of a batch tog"),
        (None, ("--parts", 0), "expected a whole number above 0"),
    ],
)
def test_a_split_that_cannot_be_is_one_line(group, given, said, short_run, tmp_path):
    spec = tmp_path / "spec.json"
    write_json(spec, short_run(BATCHNORM, group=group))
    done = vidtune("train", "--spec", spec, "--out", tmp_path / "x" / "model.pt", *given)
    assert done.returncode == 2 and said in done.stderr.splitlines()[-1]
    assert not (tmp_path / "x").exists()


def test_replaced_videos_are_those_of_all_ranks(damageable_run, tmp_path):
    run = damageable_run(on_broken="replace", random_train_frames=True, group=2)
    for record in records.read(Path(run.data), "train")[2:4]:
        record.path.write_bytes(b"")
    replaced = []
    for ranks in (1, 2):
        trained(run, tmp_path / str(ranks), "--ranks", ranks)
        replaced.append(load_json(tmp_path / str(ranks) / "train.json")["replaced"])
    assert replaced[0] == replaced[1] >= 4  # each once an epoch


def test_tests_in_a_training_do_not_depend_on_the_split(short_run, tmp_path):
    """Two ranks test with the first one's statistics, and both weights are the same for any number."""
    tests = {"metric": "top1", "every": 2}
    run = short_run(
        BATCHNORM, steps=6, group=4, lr=1e-3, select=tests
    )  # no rounding decides a rank
    folders = {ranks: tmp_path / str(ranks) for ranks in (1, 2)}
    for ranks, folder in folders.items():
        trained(run, folder, "--ranks", ranks)
    one, two = (load_json(folder / "train.json") for folder in folders.values())
    assert one["best"] == two["best"] and one["tested"] == two["tested"]
    found = []
    for ranks in (1, 2):
        out = folders[2] / f"eval{ranks}.json"
        given = ("--spec", folders[2] / "spec.json", "--checkpoint", folders[2] / "model.pt")
        done = vidtune("evaluate", *given, "--out", out, "--ranks", ranks)
        assert done.returncode == 0, done.stderr
        found.append(load_json(out))
    assert found[0]["split"] == {"ranks": 2, "parts": 1}
    assert found[0]["best"] == found[1]["best"] and found[0]["metrics"] == found[1]["metrics"]
    curve = {step: metrics for step, metrics in two["tested"]}
    assert found[0]["metrics"] == curve[6] and found[0]["best"]["metrics"] == curve[two["best"]]
