"""Evaluate one run on its dataset's test (or validation) split."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidtune import provenance
from vidtune.data import coverage, records
from vidtune.engine import metrics
from vidtune.engine import model as models
from vidtune.engine.feed import Feed
from vidtune.nn.task import Recognizer, Retriever, VideoModel
from vidtune.spec import Run

TEXTS_AT_ONCE = 256


def evaluate(run: Run, checkpoint: Path) -> dict[str, Any]:
    """`{status, metrics, n, coverage, seconds, provenance}`; no metrics where the training failed."""
    trained = models.load_checkpoint(checkpoint)

    def load(where: torch.device) -> VideoModel:
        model, _ = models.build(run, where)
        models.load_tuned(model, trained["state"], checkpoint)
        return model

    result = evaluated(run, trained["status"], load, provenance.run_digest(run))
    return result | ({"replaced": n} if (n := trained.get("replaced")) else {})


def evaluated(
    run: Run, status: str, load: Callable[[torch.device], VideoModel], digest: str
) -> dict[str, Any]:
    """What `evaluate` gives, of the model that `load` gives; made by code of this digest."""
    records.check_copies(run.dataset, Path(run.data))
    start = time.monotonic()
    where = models.device()
    result: dict[str, Any] = {"status": status, "metrics": {}, "n": 0}
    if status == "ok":
        try:
            with torch.no_grad():
                result |= _scored(run, load(where).eval(), where)
        except (RuntimeError, MemoryError) as e:
            if not models.out_of_memory(e):
                raise
            result["status"] = "oom"
    result["coverage"] = coverage.count(run.dataset, Path(run.data))
    if resized := records.manifest(Path(run.data)).get("resized"):
        result["resized"] = resized  # what was seen is not quite the original
    result["seconds"] = time.monotonic() - start
    result["provenance"] = provenance.stamp(digest, models.device_name(where), run)
    return result


def _scored(run: Run, model: VideoModel, where: torch.device) -> dict[str, Any]:
    if isinstance(model, Recognizer):
        return _recognition(run, model, where)
    assert isinstance(model, Retriever)
    return _retrieval(run, model, where)


def _recognition(run: Run, model: Recognizer, where: torch.device) -> dict[str, Any]:
    """Of several views the mean of their probabilities counts (DiST's sum ranks alike)."""
    found = []
    for view in range(run.model.n_views):
        feed = Feed(run, model, run.dataset.evaluate_on, train=False, where=where, view=view)
        found.append(torch.cat([feed.outputs(inputs).float().cpu() for inputs, _ in feed.all()]))
    several = len(found) > 1
    scores = torch.stack(found).softmax(dim=-1).mean(dim=0) if several else found[0]  # (clips, C)
    if not scores.isfinite().all():
        return {"status": "diverged"}
    values = metrics.recognition(scores, feed.targets, _reversal(run))
    return {"n": len(feed.records), "metrics": values}


def _retrieval(run: Run, model: Retriever, where: torch.device) -> dict[str, Any]:
    """Every caption is a query; every video is encoded once."""
    feed = Feed(run, model, run.dataset.evaluate_on, train=False, where=where)
    tokens, owner = feed.queries()
    scores = _similarities(model, feed, tokens)
    if not scores.isfinite().all():
        return {"status": "diverged"}
    values = metrics.retrieval(scores, owner, _twins(feed), run.dataset.ties)
    return {"n": len(feed.records), "metrics": values}


def _similarities(model: Retriever, feed: Feed, tokens: Tensor) -> Tensor:
    """(texts, videos) on the CPU; `tokens` (texts, L)."""
    videos = _joined([feed.outputs(inputs) for inputs, _ in feed.all()])
    rows = []
    for part in tokens.split(TEXTS_AT_ONCE):
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
