"""What is reached without a sense of motion, or by chance: what learned numbers stand beside.

<results>/<scale>/backbones/<name>/premise.json has them by task, in percent, as in
  {"references": {"recognition": {"chance": {"pair": 50.0, "top1": 8.3}}}}
A row of them has the variant "reference/<name>, <task>", which no paper declares, and no seed.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers.result_files import made_by, premises
from vidtune.report.numbers.rows import Row, our_row
from vidtune.spec import UserError

FOLDER = "reference/"


def references(plan: Plan) -> Iterator[Row]:
    """Rows of every reference of the scale's first backbone that has any."""
    known = ((name, p) for name, p in premises(plan).items() if p.get("references"))
    for backbone, premise in [*known][:1]:
        path = plan.root / "backbones" / backbone / "premise.json"
        code = made_by(premise, provenance.digest("vidtune.engine.premise"))
        for task, named in premise["references"].items():
            for name, values in named.items():
                for metric, value in values.items():
                    if metric not in plan.config.metrics:
                        key = f"references.{task}.{name}.{metric}"
                        raise UserError(f"{path}: {key}: no metric of config/metrics.yaml; add it")
                    yield our_row(
                        plan.config.metrics[metric],
                        variant=f"{FOLDER}{name}, {task}",
                        value=value,
                        where=str(path),
                        scale=plan.scale.name,
                        n=_clips(premise, task),
                        condition=f"backbone {backbone}",
                        **code,
                    )


def _clips(premise: dict[str, Any], task: str) -> int | None:
    return premise[task]["probe"]["n"] if premise.get(task) else None


def is_reference(row: Row) -> bool:
    return row.variant.startswith(FOLDER)


def names(rows: Iterable[Row], task: str) -> dict[str, str]:
    """What the references of a task are called -> their rows' variant."""
    variants = dict.fromkeys(r.variant for r in rows if is_reference(r))
    parts = {v: v.removeprefix(FOLDER).rpartition(", ") for v in variants}
    return {name: variant for variant, (name, _, of) in parts.items() if of == task}


def values(rows: Iterable[Row], task: str, metric: str) -> dict[str, float]:
    """What the references of a task are called -> their number of one metric."""
    rows = list(rows)
    named = {variant: name for name, variant in names(rows, task).items()}
    return {named[r.variant]: r.value for r in rows if r.variant in named and r.metric == metric}
