"""Train and evaluate runs that differ in their seed alone, one after another in one process.

What no seed decides is made once: decoded clips, and a frozen trunk's features of them.
"""

from pathlib import Path

from vidtune.data.batches import SharedBatches
from vidtune.datasets.node_copy import staged
from vidtune.engine.evaluate import write_evaluation
from vidtune.engine.made import told_to_stop
from vidtune.engine.train import train
from vidtune.spec import Run, UserError


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
    batches = staged(SharedBatches())
    with told_to_stop():  # once told it begins no other run
        for run in runs:
            model, result = (folder / run.name / name for name in ("model.pt", "eval.json"))
            train(run, model, batches)
            write_evaluation(run, model, result, batches)
