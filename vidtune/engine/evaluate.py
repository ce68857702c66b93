"""Evaluate one run on its dataset's test (or validation) split."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidtune import provenance
from vidtune.data import records
from vidtune.engine import metrics
from vidtune.engine import model as models
from vidtune.engine.feed import Feed
from vidtune.nn.task import Recognizer, Retriever, VideoModel
from vidtune.spec import Run

TEXTS_AT_ONCE = 256


def evaluate(run: Run, checkpoint: Path) -> dict[str, Any]:
    """`{status, metrics, n, seconds, provenance}`; no metrics where the training failed."""
    start = time.monotonic()
    trained = models.load_checkpoint(checkpoint)
    where = models.device()
    result: dict[str, Any] = {"status": trained["status"], "metrics": {}, "n": 0}
    if trained["status"] == "ok":
        try:
            result |= _evaluate(run, trained["state"], checkpoint, where)
        except (RuntimeError, MemoryError) as e:
            if not models.out_of_memory(e):
                raise
            result["status"] = "oom"
    result["seconds"] = time.monotonic() - start
    result["provenance"] = provenance.stamp(
        provenance.run_digest(run), models.device_name(where), run
    )
    return result


@torch.no_grad()
def _evaluate(
    run: Run, state: dict[str, Tensor], checkpoint: Path, where: torch.device
) -> dict[str, Any]:
    model, _ = models.build(run, where)
    models.load_tuned(model, state, checkpoint)
    model.eval()
    feed = Feed(run, model, run.dataset.evaluate_on, train=False, where=where)
    scores = _scores(model, feed)
    if not scores.isfinite().all():
        return {"status": "diverged"}
    return {"n": len(feed.records), "metrics": _metrics(run, feed, scores)}


def _scores(model: VideoModel, feed: Feed) -> Tensor:
    """Logits (clips, C) or similarities (texts, videos), on the CPU."""
    if isinstance(model, Recognizer):
        return torch.cat([model(*inputs).float().cpu() for inputs, _ in feed.all()])
    assert isinstance(model, Retriever)
    return _similarities(model, feed)


def _metrics(run: Run, feed: Feed, scores: Tensor) -> dict[str, float]:
    if run.model.task == "recognition":
        return metrics.recognition(scores, feed.targets, _reversal(run))
    return metrics.retrieval(scores, _twins(feed))


def _similarities(model: Retriever, feed: Feed) -> Tensor:
    """(texts, videos) on the CPU."""
    videos = _joined([model(*inputs) for inputs, _ in feed.all()])
    rows = []
    for part in feed.targets.split(TEXTS_AT_ONCE):
        text = model.encode_text(part.to(feed.where))
        rows.append(model.similarity(text, videos).float().cpu())
    return torch.cat(rows)


def _joined(parts: list[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def _reversal(run: Run) -> list[int] | None:
    """Class -> its time-reversed partner, where the dataset declares pairs."""
    about = records.manifest(Path(run.data))
    if "reversed" not in about:
        return None
    classes: list[str] = about["classes"]
    return [classes.index(about["reversed"][c]) for c in classes]


def _twins(feed: Feed) -> list[tuple[int, int]]:
    """Pairs of clips whose captions differ only in motion."""
    groups: dict[str, list[int]] = {}
    for i, record in enumerate(feed.records):
        if record.group is not None:
            groups.setdefault(record.group, []).append(i)
    return [(g[0], g[1]) for g in groups.values() if len(g) == 2]
