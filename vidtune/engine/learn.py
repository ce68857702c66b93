"""Train and evaluate runs that differ in their seed alone, one after another in one process.

What no seed decides is made once: decoded clips, and a frozen trunk's features of them.
"""

from pathlib import Path

from vidtune import provenance
from vidtune.data.batches import SharedBatches
from vidtune.engine.evaluate import evaluate
from vidtune.engine.snapshot import follows, inputs
from vidtune.engine.train import train
from vidtune.spec import Run, UserError, load_json, write_json


def learn(runs: list[Run], folder: Path) -> None:
    """Write model.pt, train.json and eval.json of each run to `<folder>/<run>/`, as they come.

    Files that today's code made of this spec, after its weights and clips, are not made again, so
    that a job which was stopped loses no more than what it was at. Raises `UserError` where the
    runs differ in more than their seed.
    """
    first = runs[0].model_copy(update={"seed": 0}).tested()
    for run in runs:
        if run.model_copy(update={"seed": 0}).tested() != first:
            raise UserError(
                f"{runs[0].name}, {run.name}: expected runs that differ in their seed alone; "
                "learn them apart"
            )
    batches = SharedBatches()
    for run in runs:
        model, report, result = (
            folder / run.name / n for n in ("model.pt", "train.json", "eval.json")
        )
        if not (model.is_file() and _is_current(run, report, inputs(run))):
            train(run, model, batches)
        if not _is_current(run, result, [*inputs(run), model]):
            write_json(result, evaluate(run, model, batches))


def _is_current(run: Run, made: Path, of: list[Path]) -> bool:
    """Whether a file of results is of this very run and code, and no older than its inputs."""
    try:
        stamp = load_json(made)["provenance"]
        newer = follows(made, of)
    except (UserError, OSError, KeyError, TypeError):
        return False
    wanted = provenance.run_digest(run), provenance.spec_digest(run)
    return newer and (stamp.get("digest"), stamp.get("spec")) == wanted
