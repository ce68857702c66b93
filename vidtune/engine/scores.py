"""The metrics of a model on a test (or validation) split, which all ranks compute together.

Shapes: B clips of a batch, N clips, K views, C classes, Q texts, V videos.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from vidtune.data import records
from vidtune.data.batches import Batches
from vidtune.engine import metrics, ranks
from vidtune.engine.device import device_name, out_of_memory, precision
from vidtune.engine.features import remember
from vidtune.engine.made import Told, queue_again
from vidtune.engine.partial import Partial
from vidtune.engine.room import Room
from vidtune.nn.task import Retriever, VideoModel
from vidtune.progress import progress
from vidtune.spec import Run, Stopped, UserError

TEXTS_AT_ONCE = 256

Outputs = list[tuple[Tensor, ...]]  # of every batch


class Judged(NamedTuple):
    """A model that is tested, and where what is done of its test is kept, if anywhere."""

    model: VideoModel
    partial: Partial | None = None


def score(
    judged: Sequence[Judged], data: Batches, label: str, told: Told | None = None
) -> list[dict[str, Any]]:
    """Of each model `{n, metrics}`, or `{status: diverged}` where a score is no number; on ranks above 0
    nothing. Clips are read once for all.

    `data` is this rank's share of the split; the recipe's precision holds. What is kept is not done
    again. Raises `Stopped`, on all ranks, where one was told to stop, and `UserError` where memory is full.
    """
    try:
        with torch.no_grad(), precision(data.run.recipe, data.device):
            return _score(judged, data, label, told)
    except (RuntimeError, MemoryError) as e:
        if not out_of_memory(e):
            raise
        raise UserError(
            f"{label}: {device_name(data.device)} is full, with as few clips at once as it takes; test it "
            "on a device with more memory"
        ) from None


def _score(
    judged: Sequence[Judged], data: Batches, label: str, told: Told | None
) -> list[dict[str, Any]]:
    every = [ranks.collect(outputs) for outputs in _outputs(judged, data, label, told)]
    judge = _recognition if data.run.model.task == "recognition" else _retrieval
    targets = ranks.collect([data.targets])
    if ranks.rank():
        return [{} for _ in judged]
    pairs = zip(judged, every, strict=True)
    return [judge(one.model, data, outputs, targets) for one, outputs in pairs]


def _recognition(
    model: VideoModel, data: Batches, outputs: Outputs, targets: list[Tensor]
) -> dict[str, Any]:
    """With several views the mean of their probabilities counts (DiST's sum ranks alike)."""
    logits = torch.cat([batch[0] for batch in outputs]).float()  # (N * K, C)
    if (views := data.clips.copies) > 1:
        logits = logits.unflatten(0, (-1, views)).softmax(dim=-1).mean(dim=1)  # (N, C)
    if not logits.isfinite().all():
        return {"status": "diverged"}
    values = metrics.recognition(logits, torch.cat(targets), _reversal(data.run))
    return {"n": len(data.records), "metrics": values}


def _retrieval(
    model: Retriever, data: Batches, outputs: Outputs, _: list[Tensor]
) -> dict[str, Any]:
    """Every caption is a query; every video is encoded once."""
    features = tuple(torch.cat(column) for column in zip(*outputs, strict=True))
    tokens, owner = data.queries()
    gallery = records.galleries(data.records)
    scores = torch.zeros(len(owner), len(data.records))  # (Q, V); between galleries it stays 0
    for texts, videos in metrics.blocks(owner, gallery):
        inside = tuple(feature[videos].to(data.device) for feature in features)
        for part in texts.split(TEXTS_AT_ONCE):
            text = model.encode_text(tokens[part].to(data.device))
            scores[part[:, None], videos] = model.similarity(text, inside).float().cpu()
    if not scores.isfinite().all():
        return {"status": "diverged"}
    twins, ties = records.twins(data.records), data.run.dataset.ties
    values = metrics.retrieval(scores, owner, twins, ties, gallery)
    return {"n": len(data.records), "metrics": values}


def _outputs(
    judged: Sequence[Judged], data: Batches, label: str, told: Told | None
) -> list[Outputs]:
    """Of each model its outputs, on the CPU, for every batch of this rank. Features are remembered only
    where the clips are read again: those of one trunk, which all models have."""
    remembered = data.reread and remember(judged[0].model, data, told)
    every = [one.partial.read() if one.partial else {} for one in judged]
    left = [number for number in data.numbers if not all(number in found for found in every)]
    room = Room(data.device, label)
    with closing(data.numbered(left)) as batches:  # no worker outlives the test
        shown = progress(batches, len(left), label, show=not ranks.rank())
        for number, batch in zip(left, shown, strict=True):
            for (model, partial), found in zip(judged, every, strict=True):
                if number in found:
                    continue
                forward = model if remembered else model.at_once
                found[number] = room.call(forward, batch.clips, batch.masks)
                if partial:
                    partial.add(number, found[number])
            if told and told.is_set():
                break
    for partial in (one.partial for one in judged if one.partial):
        partial.write()
    kept = any(one.partial and one.partial.further for one in judged)
    stop, further = ranks.any_of(told is not None and told.is_set(), kept)
    if stop:
        if told and further and not ranks.rank():
            queue_again(told, label)
        ranks.wait()  # one that ends earlier would have the first one ended as it asks
        done = sum(all(number in found for found in every) for number in data.numbers)
        raise Stopped(f"{label}: stopped after {done} of {len(data.numbers)} batches")
    return [[found[number] for number in data.numbers] for found in every]


def _reversal(run: Run) -> list[int] | None:
    """The time-reversed partner of every class, where the dataset declares pairs."""
    manifest = records.manifest(Path(run.data))
    if "reversed" not in manifest:
        return None
    classes: list[str] = manifest["classes"]
    return [classes.index(manifest["reversed"][name]) for name in classes]
