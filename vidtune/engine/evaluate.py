"""Evaluate one run on its dataset's test (or validation) split.

Shapes: N clips, C classes, Q texts, V videos, L words.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from vidtune import provenance
from vidtune.data import records
from vidtune.data.batches import AT_ONCE, Batches, MakeBatches, Split
from vidtune.engine import metrics, ranks
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint, load_tuned
from vidtune.engine.device import device_name, out_of_memory, pick_device, precision
from vidtune.engine.features import remember
from vidtune.nn.task import Retriever, VideoModel
from vidtune.progress import progress
from vidtune.spec import Run, UserError

TEXTS_AT_ONCE = 256


def evaluate(run: Run, checkpoint: Path, make_batches: MakeBatches = Batches) -> dict[str, Any]:
    """`{status, metrics, n, coverage, seconds, provenance}`; no metrics where training failed.

    All ranks that torchrun has started take part, each with its share of the videos; rank 0 has the
    result, others an empty one.
    """
    trained = load_checkpoint(checkpoint)

    def load_model(device: torch.device) -> VideoModel:
        model, _ = build_run(run, device)
        if run.recipe.weights == "fp16":
            model.to_half()
        load_tuned(model, trained["state"], checkpoint)
        return model

    result = evaluate_model(
        run, trained["status"], load_model, provenance.run_digest(run), make_batches
    )
    replaced = trained["replaced"]
    return result | ({"replaced": replaced} if result and replaced else {})


def evaluate_model(
    run: Run,
    status: str,
    load_model: Callable[[torch.device], VideoModel],
    digest: str,
    make_batches: MakeBatches = Batches,
) -> dict[str, Any]:
    """The result of `evaluate` for the model that `load_model` gives.

    `status` is the training's, `digest` that of the code which decides the result.
    """
    start = time.monotonic()
    device = pick_device(ranks.local_rank())
    ranks.start(device)
    result: dict[str, Any] = {"status": status, "metrics": {}, "n": 0}
    if status == "ok":
        score = _recognition if run.model.task == "recognition" else _retrieval
        try:
            with torch.no_grad(), precision(run.recipe, device):
                result |= score(run, load_model(device).eval(), device, make_batches)
        except (RuntimeError, MemoryError) as e:
            if not out_of_memory(e):
                raise
            raise UserError(
                f"{run.name}: {device_name(device)} is full with {AT_ONCE} clips at once; test it on a "
                "device with more memory"
            ) from None
    if ranks.rank():
        return {}
    result["coverage"] = records.count_coverage(run.dataset, Path(run.data))
    if resized := records.manifest(Path(run.data)).get("resized"):
        result["resized"] = resized  # the model saw smaller copies
    result["seconds"] = time.monotonic() - start
    result["provenance"] = provenance.stamp(digest, device_name(device), run)
    return result


def _recognition(
    run: Run, model: VideoModel, device: torch.device, make_batches: MakeBatches
) -> dict[str, Any]:
    """With several views the mean of their probabilities counts (DiST's sum ranks alike)."""
    views, work = [], Split(ranks.rank(), ranks.count())
    for view in range(run.model.n_views):
        data = make_batches(
            run, run.dataset.evaluate_on, train=False, device=device, view=view, work=work
        )
        views.append(ranks.collect([out.float().cpu() for out in _outputs(model, data)]))
    targets = ranks.collect([data.targets])
    if ranks.rank():
        return {}
    logits = [torch.cat(outputs) for outputs in views]  # each (N, C)
    several = len(logits) > 1
    scores = torch.stack(logits).softmax(dim=-1).mean(dim=0) if several else logits[0]  # (N, C)
    if not scores.isfinite().all():
        return {"status": "diverged"}
    values = metrics.recognition(scores, torch.cat(targets), _reversal(run))
    return {"n": len(data.records), "metrics": values}


def _retrieval(
    run: Run, model: Retriever, device: torch.device, make_batches: MakeBatches
) -> dict[str, Any]:
    """Every caption is a query; every video is encoded once."""
    work = Split(ranks.rank(), ranks.count())
    data = make_batches(run, run.dataset.evaluate_on, train=False, device=device, work=work)
    encoded = ranks.collect([tuple(x.cpu() for x in out) for out in _outputs(model, data)])
    if ranks.rank():
        return {}
    features = tuple(torch.cat(column) for column in zip(*encoded, strict=True))
    tokens, owner = data.queries()
    gallery = records.galleries(data.records)
    scores = torch.zeros(len(owner), len(data.records))  # (Q, V); between galleries it stays 0
    for texts, videos in metrics.blocks(owner, gallery):
        inside = tuple(feature[videos].to(device) for feature in features)
        for part in texts.split(TEXTS_AT_ONCE):
            text = model.encode_text(tokens[part].to(device))
            scores[part[:, None], videos] = model.similarity(text, inside).float().cpu()
    if not scores.isfinite().all():
        return {"status": "diverged"}
    twins, ties = records.twins(data.records), run.dataset.ties
    values = metrics.retrieval(scores, owner, twins, ties, gallery)
    return {"n": len(data.records), "metrics": values}


def _outputs(model: VideoModel, data: Batches) -> Iterator[Any]:
    """The outputs for every batch. Features are remembered only for other runs: clips are seen once."""
    forward = model if data.shared and remember(model, data) else model.at_once
    for batch in progress(data.epoch(0), len(data), f"{data.run.name}: evaluate"):
        yield forward(*batch.inputs, **batch.masks)


def _reversal(run: Run) -> list[int] | None:
    """The time-reversed partner of every class, where the dataset declares pairs."""
    manifest = records.manifest(Path(run.data))
    if "reversed" not in manifest:
        return None
    classes: list[str] = manifest["classes"]
    return [classes.index(manifest["reversed"][name]) for name in classes]
