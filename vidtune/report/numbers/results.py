"""All rows: printed numbers, settings, and what the results folder holds.

Counted and predicted costs are of the papers' full size, measured ones of this machine or of the
reference folder, learned ones of the scale at hand.
"""

from collections.abc import Iterator
from typing import Any

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers import device_costs, references, settings
from vidtune.report.numbers.result_files import costs, eval_path, made_by, paper_path, read_checked
from vidtune.report.numbers.rows import FULL_SIZE, Row, our_row, published
from vidtune.spec import UserError
from vidtune.spec.results import Evaluated


def counted(plan: Plan, name: str, cost: dict[str, Any], where: str) -> Iterator[Row]:
    """Rows of one model's `vidtune.cost.count.cost`, each under its metric's convention."""
    raw = {"gflops": cost["gmacs"] * cost["views"], "tflops": cost["gmacs"], **cost}
    model = plan.models[name]
    code = made_by(cost, provenance.model_digest(model.method), provenance.spec_digest(model))
    views = {"gflops": f"{model.views} views of {model.frames} frames"}
    for metric in ("gflops", "tflops", "params_tuned", "params_total", "output_tokens"):
        m = plan.config.metrics[metric]
        yield our_row(
            m,
            variant=name,
            value=raw[metric] * m.scale,
            where=where,
            scale=FULL_SIZE,
            device="none (counted on the meta device)",
            condition="; ".join(filter(None, [m.source, views.get(metric)])),
            **code,
        )


def learned(plan: Plan, name: str, result: dict[str, Any], where: str) -> Iterator[Row]:
    """Rows of a run from its `eval.json`; none where the training diverged or ran out of memory. Where
    the recipe selects, rows of the last weights, then of those that were the best on the test set, also
    where it diverged later.

    The condition says if the scale takes other frames than are declared, and if the file is that of
    the same run under another variant's name.
    """
    if "official" in result:
        raise UserError(
            f"{where}: made from {result['official']}, not from our training; move it elsewhere"
        )
    run, first = plan.runs[name], plan.runs[plan.evaluation_of[name]]
    seen, declared = run.model.frames, plan.models[run.model.name].frames
    frames = "" if seen == declared else f"at this scale {seen} frames in place of {declared}"
    code = made_by(result, provenance.run_digest(first), provenance.spec_digest(first))
    same = "" if run is first else f"at this scale the same run as {first.model.name}"
    differences = [frames, same, _clip_differences(result), _split(result)]
    condition = "; ".join(filter(None, differences))
    for metric, value, picked in _values(result):
        m = plan.config.metrics.get(metric)
        if m is None:
            raise UserError(
                f"{where}: metric {metric!r} is not declared; add it to config/metrics.yaml"
            )
        yield our_row(
            m,
            variant=run.model.name,
            value=value,
            where=where,
            scale=run.scale,
            seed=run.seed,
            n=result["n"],
            coverage=_coverage(result.get("coverage", {})),
            device=result.get("provenance", {}).get("device", ""),
            condition="; ".join(filter(None, [condition, picked])),
            best_of=result["best"]["tests"] if picked else None,
            **code,
        )


def _values(result: dict[str, Any]) -> Iterator[tuple[str, float, str]]:
    """Metrics with their values and, of the best weights, how those were picked."""
    for metric, value in result["metrics"].items():
        yield metric, value, ""
    if best := result.get("best"):
        picked = f"the best of {best['tests']} tests on the test set, after step {best['step']:,}"
        if result.get("status") == "diverged":
            picked += " of a training that diverged later"
        for metric, value in best["metrics"].items():
            yield metric, value, picked


def _coverage(splits: dict[str, dict[str, int]]) -> float | None:
    """The smaller of the shares of training and test clips that were used; None: not known."""
    return min((min(1.0, c["used"] / c["expected"]) for c in splits.values()), default=None)


def _clip_differences(result: dict[str, Any]) -> str:
    """How the clips that were read differ from the dataset's own videos."""
    texts = []
    if copy := result.get("resized"):
        texts.append(
            f"{copy['clips']:,} of {copy['of']:,} videos as copies with a short side of "
            f"{copy['short']} pixels ({copy['form']}, {copy['quality']}), which a model sees "
            f"{copy['difference']} grey levels off"
        )
    if broken := result.get("replaced"):
        texts.append(f"{broken:,} times another clip in place of a broken one in training")
    return "; ".join(texts)


def _split(result: dict[str, Any]) -> str:
    """How the training's batches were split, which changes no result but for rounding."""
    if not (split := result.get("split")):
        return ""
    return f"trained by {split['ranks']} processes in {split['parts']} parts of a batch each"


def gather(plan: Plan) -> list[Row]:
    """All rows of what the plan declares and the results folder holds."""
    rows = [*published(plan), *settings.declared(plan)]
    for name, cost in costs(plan).items():
        rows += counted(plan, name, cost, str(paper_path(plan, "costs", name.split("/")[0])))
    rows += [*device_costs.predicted(plan), *device_costs.measured(plan)]
    for name in plan.runs:
        path = eval_path(plan, name)
        if path.exists():
            rows += learned(plan, name, read_checked(path, Evaluated), str(path))
    return [*rows, *references.references(plan)]
