"""Batches for a model: clips that are kept or streamed, and features in place of clips."""

from pathlib import Path

import pytest
import torch

from vidtune.data import batches, loader, records
from vidtune.data.batches import Batches
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.features import remember
from vidtune.engine.train import train

RECOGNITION, CLIP4CLIP = "side4video/b16-ssv1@0", "side4video/clip4clip-b32-msrvtt@0"
CPU = torch.device("cpu")


@pytest.fixture
def streaming(monkeypatch):
    """A function that from then on lets nothing be kept, and decodes in this process."""

    def start() -> None:
        monkeypatch.setattr(batches, "KEEP", 0)
        monkeypatch.setattr(loader, "own_cores", lambda: 0)

    return start


def test_kept_and_streamed_batches_are_the_same(short_run, tmp_path, streaming):
    """Features of the frozen trunk, kept for all epochs, change no number."""
    run = short_run(RECOGNITION)
    train(run, tmp_path / "kept" / "model.pt")
    streaming()
    train(run, tmp_path / "streamed" / "model.pt")
    kept, streamed = (
        load_checkpoint(tmp_path / k / "model.pt")["state"] for k in ("kept", "streamed")
    )
    for key in kept:
        torch.testing.assert_close(kept[key], streamed[key], rtol=1e-4, atol=1e-5)


def test_features_are_remembered_where_they_are_frozen_and_fit(short_run, monkeypatch):
    run = short_run(RECOGNITION)
    model, _ = build_run(run, CPU)
    tuned, _ = build_run(short_run("tempme/lora-b32@0"), CPU)
    data = Batches(run, "train", train=True, device=CPU)
    assert not remember(tuned, data) and data.videos is not None
    monkeypatch.setattr(batches, "KEEP", data.videos.nbytes)
    assert not remember(model, data) and data.features is None
    monkeypatch.undo()
    clips = next(data.epoch(0))
    assert remember(model, data) and data.videos is None
    features = next(data.epoch(0))
    assert torch.equal(features.target, clips.target)
    for ours, theirs in zip(features.inputs, model.prepare(*clips.inputs), strict=True):
        torch.testing.assert_close(ours, theirs)
    assert torch.equal(model(*features.inputs), model.at_once(*features.inputs[:1]))


def test_retrieval_trains_on_both_clips_of_a_twin_in_one_batch(short_run):
    """And recognition takes every clip alone."""
    for name, together in (("tempme/lora-b32@0", True), (RECOGNITION, False)):
        data = Batches(short_run(name), "train", train=True, device=CPU)
        order = batches.shuffled(data.sets, 3, 1).view(-1, 8).tolist()
        assert sorted(item for batch in order for item in batch) == list(range(24))
        grouped = [[data.records[data.clips.items[i][0]].group for i in batch] for batch in order]
        halves = [len(set(groups)) == 4 for groups in grouped]
        assert all(halves) if together else not any(halves)
        assert order != batches.shuffled(data.sets, 3, 2).view(-1, 8).tolist()


def test_captions_are_spread_over_an_epoch():
    """A batch as large as there are captions holds each once; twins stay side by side."""
    sets = [[i, i + 1] for i in range(0, 60, 2)]
    texts = [f"{'ab'[i % 2]}{i // 2 % 5}" for i in range(60)]
    epochs = [batches.shuffled(sets, 3, epoch, texts) for epoch in (0, 1)]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(60))
        assert all({texts[i] for i in batch} == {*texts} for batch in order.view(6, 10).tolist())
        assert torch.equal(order[1::2], order[::2] + 1)
    assert not torch.equal(*epochs)


def test_an_augmented_epoch_holds_every_clip_twice(damageable_run):
    augment = {"randaugment": "rand-m7-n4-mstd0.5-inc1", "flip": 0.5, "repeats": 2}
    run = damageable_run(augment=augment)
    data = Batches(run, "train", train=True, device=CPU)
    targets = [[batch.target for batch in data.epoch(k)] for k in (0, 0, 1)]
    assert [len(target) for target in targets[0]] == [8, 8] and len(data) == 2
    assert [len(batch.inputs[0]) for batch in data.epoch(0, first=1)] == [8]
    assert all(map(torch.equal, targets[0], targets[1]))
    test = Batches(run, "test", train=False, device=CPU)
    assert sum(len(batch.target) for batch in test.epoch(0)) == 4


def test_a_share_of_the_clips_is_trained_on(short_run):
    """Fewer clips than a batch are one; all test clips stay."""
    few = short_run(RECOGNITION, batch=16).model_copy(update={"train_share": 0.2})
    data = Batches(few, "train", train=True, device=CPU)
    assert [len(batch.target) for batch in data.epoch(0)] == [len(data.clips)] == [8]
    assert data.records == records.take_share(records.read(Path(few.data), "train"), 0.2)
    assert len(Batches(few, "test", train=False, device=CPU).clips) == 12


def test_clip4clip_learns_which_frames_are_real(short_run, streaming):
    run = short_run(CLIP4CLIP, sampler="clip4clip", fps=2.0)
    model, _ = build_run(run, CPU)
    data = Batches(run, "test", train=False, device=CPU)
    batch = next(data.epoch(0))
    (video,), mask = batch.inputs, batch.masks["mask"]
    frames = [len(range(0, r.frames, 8)) for r in data.records]  # 16 a second
    assert mask.sum(dim=1).tolist() == [min(n, run.model.frames) for n in frames]
    assert not mask.all()
    black = video[~mask]
    assert torch.equal(black, black[:1].expand_as(black))
    streaming()
    streamed = next(Batches(run, "test", train=False, device=CPU).epoch(0))
    assert torch.equal(mask, streamed.masks["mask"])
    # padding changes nothing
    other = video.clone()
    other[~mask] = 1.0
    with torch.no_grad():
        ours, theirs = model.at_once(video, mask)[0], model.at_once(other, mask)[0]
        torch.testing.assert_close(ours, theirs)
        assert not torch.allclose(ours, model(video)[0])
