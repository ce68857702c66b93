"""Mixed batches, and an epoch's last one where it is kept: the same for every split."""

from collections import Counter
from collections.abc import Callable
from itertools import chain
from math import ceil

import pytest
import torch
from torch import Tensor

from vidtune.data.batches import Batch, Batches, Split
from vidtune.engine.train import train
from vidtune.spec import Run, load_json

CPU = torch.device("cpu")
NAME = "side4video/b16-ssv1@0"  # 24 clips
MIXED = {"crop": "slowfast", "scale": (0.4, 1.0), "flip": 0.5, "mixup": 0.8, "cutmix": 1.0}
SPLITS = [(1, 1), (2, 1), (1, 2), (2, 2), (4, 1)]


def epoch_of(run: Run, ranks: int = 1, parts: int = 1) -> list[list[Batch]]:
    """The batches of an epoch, each as the pieces that its ranks take one after another."""
    made = [
        Batches(run, "train", True, CPU, work=Split(rank, ranks, parts)) for rank in range(ranks)
    ]
    taken, n = [list(data.epoch(1)) for data in made], made[0].work.pieces
    return [
        [one for mine in taken for one in mine[k * n : (k + 1) * n]]
        for k in range(len(taken[0]) // n)
    ]


def joined(pieces: list[Batch]) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """Inputs, targets, keys and the clips of each piece of a batch."""
    return (
        torch.cat([p.inputs[0] for p in pieces]),
        torch.cat([p.target for p in pieces]),
        torch.cat([p.rows.keys for p in pieces]),
        [len(p.rows.keys) for p in pieces],
    )


@pytest.mark.parametrize("augment", [None, MIXED, {**MIXED, "repeats": 2}])
def test_batches_do_not_depend_on_the_split(augment, short_run: Callable[..., Run]):
    run = short_run(NAME, batch=16, group=4, keep_last=True, augment=augment)
    whole = [joined(pieces) for pieces in epoch_of(run)]
    copies = augment.get("repeats", 1) if augment else 1
    assert [len(x) for x, *_ in whole] == [16 * copies, 8 * copies]
    assert [sizes for *_, sizes in whole] == [[4 * copies] * 4, [2 * copies] * 4]
    for ranks, parts in SPLITS[1:]:
        for one, other in zip(whole, map(joined, epoch_of(run, ranks, parts)), strict=True):
            assert all(torch.equal(a, b) for a, b in zip(one[:3], other[:3], strict=True))
            assert one[3] == other[3]


def test_mixed_batches_hold_shares_of_classes(short_run: Callable[..., Run]):
    run = short_run(NAME, batch=8, group=4, augment=MIXED)
    plain = short_run(
        NAME, batch=8, group=4, augment={k: MIXED[k] for k in ("crop", "scale", "flip")}
    )
    pairs = zip(chain(*epoch_of(run)), chain(*epoch_of(plain)), strict=True)
    for batch, other in pairs:
        assert batch.target.shape == (4, run.model.classes)
        assert torch.allclose(batch.target.sum(1), torch.ones(4))
        own = batch.target.gather(1, other.target[:, None]).squeeze(1)
        partner = other.target.flip(0)
        rest = batch.target.gather(1, partner[:, None]).squeeze(1)
        assert torch.allclose((own + rest)[other.target != partner], torch.ones(()))
        assert batch.inputs[0].shape == other.inputs[0].shape
        assert torch.equal(batch.rows.keys, other.rows.keys)


@pytest.mark.parametrize(
    ("batch", "group", "sizes"),
    [
        (16, 4, [16, 8]),
        (16, 16, [16, 8]),
        (16, 2, [16, 8]),
        (14, 2, [14, 14]),  # 10 clips in 7 groups of 2
        (10, 5, [10, 10, 4]),
        (9, 3, [9, 9, 6]),
        (9, None, [9, 9, 9]),
        (24, 4, [24]),
        (32, 4, [24]),  # fewer clips than a batch
    ],
)
def test_the_last_batch_has_as_many_groups_as_the_others(
    batch: int, group: int | None, sizes: list[int], short_run: Callable[..., Run]
):
    """As the authors' GPUs have it: each takes ceil(clips / GPUs), filled up with the first ones."""
    run = short_run(NAME, batch=batch, group=group, keep_last=True)
    data = Batches(run, "train", True, CPU)
    taken, n = list(data.epoch(3)), data.work.pieces
    assert n == len(taken) / len(sizes) and len(data) == len(sizes) == ceil(24 / batch)
    assert [len(b.target) for b in taken] == [size // n for size in sizes for _ in range(n)]
    keys = torch.cat([b.rows.keys for b in taken])
    again = Counter(keys.tolist())
    assert len(again) == 24  # all clips are there; the first of the epoch twice
    assert {k for k, n in again.items() if n == 2} == set(keys[: len(keys) - 24].tolist())
    drops = Batches(short_run(NAME, batch=batch, group=group), "train", True, CPU)
    assert len(drops) == max(1, 24 // batch)
    assert [len(b.target) for b in drops.epoch(3)] == [min(batch, 24) // n] * (len(drops) * n)


def test_a_kept_batch_is_a_step_of_the_training(short_run: Callable[..., Run], tmp_path):
    """Two epochs of two steps each, in one and in two parts."""
    losses = []
    for parts in (1, 2):
        run = short_run(
            NAME, batch=16, group=4, keep_last=True, augment=MIXED, steps=None, epochs=2
        )
        out = tmp_path / str(parts) / "model.pt"
        train(run, out, parts=parts)
        losses.append(load_json(out.with_name("train.json"))["losses"])
    assert [step for step, _ in losses[0]] == [1, 2, 3, 4]
    assert losses[0] == losses[1]
