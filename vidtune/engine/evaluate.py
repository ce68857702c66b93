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
        model, _ = models.build(run, where)
        models.load_tuned(model, trained["state"], checkpoint)
        model.eval()
        with torch.no_grad():
            feed = Feed(run, model, run.dataset.evaluate_on, train=False, where=where)
            result["n"] = len(feed.records)
            result["metrics"] = _metrics(run, model, feed)
    result["seconds"] = time.monotonic() - start
    digest = provenance.run_digest(run.model.method)
    result["provenance"] = provenance.stamp(digest, models.device_name(where))
    return result


def _metrics(run: Run, model: VideoModel, feed: Feed) -> dict[str, float]:
    if isinstance(model, Recognizer):
        logits = torch.cat([model(*inputs).float().cpu() for inputs, _ in feed.all()])
        return metrics.recognition(logits, feed.targets, _reversal(run))
    assert isinstance(model, Retriever)
    return metrics.retrieval(_similarities(model, feed), _twins(feed))


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
