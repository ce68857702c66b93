"""Evaluate one run on its dataset's test (or validation) split."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from vidtune import provenance
from vidtune.data import records
from vidtune.data.batches import Batches, MakeBatches, Split
from vidtune.engine import ranks
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint, load_tuned
from vidtune.engine.device import device_name, out_of_memory, pick_device
from vidtune.engine.made import Told, inputs_digest, is_current, told_to_stop, wait_until_seen
from vidtune.engine.partial import Partial, key_of, remove
from vidtune.engine.scores import Judged, score
from vidtune.engine.selection import best_of
from vidtune.nn.task import VideoModel
from vidtune.spec import Run, UserError, load_json, write_json
from vidtune.spec.read import unfinished

Tested = Iterable[tuple[Path, VideoModel]]  # a checkpoint, and the model with its weights


def write_evaluation(
    run: Run, checkpoint: Path, out: Path, make_batches: MakeBatches = Batches
) -> None:
    """Write what `evaluate` gives to the JSON file `out`, and once more beside it.

    What is done stands in a folder beside it, with the suffix .partial, until all is written; told to
    stop it raises `Stopped`, and goes on from there when started again. The result of this very test
    stays. Where Snakemake has deleted it, as it does with the outputs of a job that it repeats because
    another job has written the same lists anew, it is taken from the file beside it, `.eval.json`.
    """
    partial, kept = out.with_suffix(".partial"), out.with_name(f".{out.name}")
    wait_until_seen(checkpoint)
    ranks.start(pick_device(ranks.local_rank()))
    made = next((p for p in (out, kept) if is_current(run, p, checkpoint)), None)
    if made := ranks.tell(made):  # as the first sees it
        if ranks.rank() == 0:
            result = load_json(made)
            before = result.get("coverage", {})
            # A test is of the same clips where more are expected today.
            used = records.count_coverage(run.dataset, Path(run.data))
            result["coverage"] = used | ({"train": before["train"]} if "train" in before else {})
            changed = result["coverage"] != before
            for path in (kept, out) if changed else (out,) if made != out else ():
                write_json(path, result)
            _tidy(out, kept, partial)
        return
    with told_to_stop() as told:
        result = evaluate(run, checkpoint, make_batches, partial, told)
        if ranks.rank() == 0:
            write_json(kept, result)
            write_json(out, result)
            _tidy(out, kept, partial)
        ranks.wait()  # until it is written a signal may stop none of them


def _tidy(out: Path, kept: Path, partial: Path) -> None:
    """Remove what nobody needs once a test is written."""
    remove(partial)
    for path in (*unfinished(out), *unfinished(kept)):
        path.unlink(missing_ok=True)


def evaluate(
    run: Run,
    checkpoint: Path,
    make_batches: MakeBatches = Batches,
    partial: Path | None = None,
    told: Told | None = None,
) -> dict[str, Any]:
    """`{status, metrics, n, coverage, seconds, provenance}`; no metrics where training failed.

    Where the recipe selects, `metrics` are those of the last weights, and `best` is `{step, tests,
    metrics}` of the weights that were the best of the training's tests, also where it diverged later. All
    ranks that torchrun has started take part, each with its share of the videos; rank 0 has the result,
    others an empty one. With the folder `partial`, what is done is kept there, and what is there is not
    done again. Where `told` is set it raises `Stopped`.
    """
    trained, inputs = load_checkpoint(checkpoint), inputs_digest(run, checkpoint)
    if trained.get("training", run.training) != run.training:
        raise UserError(
            f"{checkpoint}: trained by another spec than {run.name} has today; train it again, or go "
            "back to that configuration"
        )
    ended, best = trained["status"], trained.get("best")
    contents = {checkpoint: trained} if ended == "ok" else {}
    if run.recipe.select:
        if best is None:
            raise UserError(f"{checkpoint}: best: missing; expected by its recipe; train again")
        # 0: no test had scores that are numbers. Of a training that diverged the best is all there is.
        if best["step"] and (ended != "ok" or best["step"] != trained["step"]):
            contents[best_of(checkpoint)] = _load_best(checkpoint, best["step"])

    def models(device: torch.device) -> Iterator[tuple[Path, VideoModel]]:
        model, _ = build_run(run, device)
        if run.recipe.weights == "fp16":
            model.to_half()
        frozen = {id(p): p for p in model.parameters() if not p.requires_grad}
        for k, (path, content) in enumerate(contents.items()):
            one = deepcopy(model, dict(frozen)) if k else model  # of one trunk
            load_tuned(one, content["state"], path)
            yield path, one

    digest = trained.get("code", provenance.run_digest(run))  # of weights of older code it is that
    status = "ok" if contents else ended
    result = evaluate_model(run, status, models, digest, make_batches, partial, told)
    if not result:
        return {}
    result["provenance"]["inputs"] = inputs
    if trained.get("clips"):  # which today's list may have more of
        result["coverage"]["train"] = trained["clips"]
    found = result.pop("best", result)
    if best and best["step"] and found.get("metrics"):
        result |= {"n": found["n"], "best": {**best, "metrics": found["metrics"]}}
    if ended != "ok":
        result |= {"status": ended, "metrics": {}}
    told = {"replaced": trained["replaced"], "split": trained.get("split")}
    if told["split"] == {"ranks": 1, "parts": 1}:
        told["split"] = None
    return result | {key: value for key, value in told.items() if value}


def _load_best(checkpoint: Path, step: int) -> dict[str, Any]:
    """The best weights beside the last ones, which must be of the same training."""
    path = best_of(checkpoint)
    content = load_checkpoint(path)
    if content["step"] != step:
        raise UserError(
            f"{path}: step: expected {step}, which {checkpoint.name} names as the best; found "
            f"{content['step']}; train again"
        )
    return content


def evaluate_model(
    run: Run,
    status: str,
    load_models: Callable[[torch.device], Tested],
    digest: str,
    make_batches: MakeBatches = Batches,
    partial: Path | None = None,
    told: Told | None = None,
) -> dict[str, Any]:
    """The result of `evaluate` for the models that `load_models` gives: the metrics of the first one,
    and under `best` those of a second one.

    `status` is the training's, `digest` that of the code which decides the result.
    """
    start = time.monotonic()
    device = pick_device(ranks.local_rank())
    ranks.start(device)
    result: dict[str, Any] = {"status": status, "metrics": {}, "n": 0}
    if status == "ok":
        try:
            with ranks.losses_explained(run.name):
                result |= _test(run, device, load_models, make_batches, partial, told)
        except (RuntimeError, MemoryError) as e:
            if not out_of_memory(e):
                raise
            raise UserError(
                f"{run.name}: {device_name(device)} is full with the model and the clips that are kept; "
                "test it on a device with more memory"
            ) from None
    if ranks.rank():
        return {}
    result["coverage"] = records.count_coverage(run.dataset, Path(run.data))
    if resized := records.manifest(Path(run.data)).get("resized"):
        result["resized"] = resized  # the model saw smaller copies
    result["seconds"] = time.monotonic() - start
    result["provenance"] = provenance.stamp(digest, device_name(device), run)
    return result


def _test(
    run: Run,
    device: torch.device,
    load_models: Callable[[torch.device], Tested],
    make_batches: MakeBatches,
    partial: Path | None,
    told: Told | None,
) -> dict[str, Any]:
    """What `score` says of the first model, with what it says of the second as `best`."""
    work = Split(ranks.rank(), ranks.count())
    with told.at_once(run.name) if told else nullcontext():
        data = make_batches(run, run.dataset.evaluate_on, train=False, device=device, work=work)
        judged = [
            Judged(model.eval(), Partial(partial, key_of(run, path)) if partial else None)
            for path, model in load_models(device)
        ]
    first, *others = score(judged, data, f"{run.name}: evaluate", told)
    return first | ({"best": others[0]} if others else {})
