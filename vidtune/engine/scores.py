"""The metrics of a model on a test (or validation) split, which all ranks compute together.

Shapes: B clips of a batch, N clips, K views, C classes, Q texts, V videos.
"""

from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidtune.data import records
from vidtune.data.batches import Batches
from vidtune.engine import metrics, ranks
from vidtune.engine.device import precision
from vidtune.engine.features import remember
from vidtune.engine.made import Told
from vidtune.engine.partial import Partial
from vidtune.nn.task import Retriever, VideoModel
from vidtune.progress import progress
from vidtune.spec import Run, Stopped

TEXTS_AT_ONCE = 256

Outputs = list[tuple[Tensor, ...]]  # of every batch


def score(
    model: VideoModel,
    data: Batches,
    label: str,
    told: Told | None = None,
    partial: Partial | None = None,
) -> dict[str, Any]:
    """`{n, metrics}`, or `{status: diverged}` where a score is no number; on ranks above 0 nothing.

    `data` is this rank's share of the split; the recipe's precision holds. What `partial` has is not done
    again. Raises `Stopped`, on all ranks, where one was told to stop.
    """
    with torch.no_grad(), precision(data.run.recipe, data.device):
        outputs = ranks.collect(_outputs(model, data, label, told, partial))
        judge = _recognition if data.run.model.task == "recognition" else _retrieval
        targets = ranks.collect([data.targets])
        return {} if ranks.rank() else judge(model, data, outputs, targets)


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
    model: VideoModel, data: Batches, label: str, told: Told | None, partial: Partial | None
) -> Outputs:
    """The outputs, on the CPU, for every batch of this rank. Features are remembered only where the
    clips are read again."""
    forward = model if data.reread and remember(model, data) else model.at_once
    known = partial.read() if partial else {}
    found = {number: known[number] for number in data.numbers if number in known}
    left = [number for number in data.numbers if number not in found]
    with closing(data.numbered(left)) as batches:  # no worker outlives the test
        shown = progress(batches, len(left), label, show=not ranks.rank())
        for number, batch in zip(left, shown, strict=True):
            out = forward(*batch.inputs, **batch.masks)
            found[number] = tuple(x.cpu() for x in (out if isinstance(out, tuple) else (out,)))
            if partial:
                partial.add(number, found[number])
            if told and told.is_set():
                break
    if partial:
        partial.write()
    (stop,) = ranks.any_of(told is not None and told.is_set())
    if stop:
        raise Stopped(f"{label}: stopped after {len(found)} of {len(data.numbers)} batches")
    return [found[number] for number in data.numbers]


def _reversal(run: Run) -> list[int] | None:
    """The time-reversed partner of every class, where the dataset declares pairs."""
    manifest = records.manifest(Path(run.data))
    if "reversed" not in manifest:
        return None
    classes: list[str] = manifest["classes"]
    return [classes.index(manifest["reversed"][name]) for name in classes]
