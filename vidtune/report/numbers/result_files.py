"""Files of the results folder, read with checks: costs, and how jobs ended.

<results>/<scale>/costs/<paper>.json            counted costs of every model of a paper
<results>/<scale>/memory/<paper>.json           predicted memory
<results>/<scale>/runs/<run>/{train,eval}.json  status, losses, metrics; once for equal runs
<results>/<scale>/backbones/<name>/*.json       pre-training and the premise

A file that is absent is a job that has not run; a file that cannot be read is a `UserError`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vidtune.plan import Plan
from vidtune.spec import Run, UserError, load_json, parse
from vidtune.spec.read import M
from vidtune.spec.results import Counted, Evaluated, Predicted, Premised, Result, Trained, Written


def read_checked(path: Path, kind: type[M]) -> dict[str, Any]:
    """Read a results file, which must be as its model."""
    return check(load_json(path), kind, path)


def check(data: Any, kind: type[M], path: Path, *keys: str) -> dict[str, Any]:
    """Return `data`, at `keys` of a results file, which must be as its model. Raises `UserError`."""
    parse(kind, data, path, keys, again="delete the file and run again")
    return data


def made_by(result: dict[str, Any], code: str, spec: str = "") -> dict[str, Any]:
    """Fields of a row: the digest of the code that made a result, and whether that or its spec is
    another than today's."""
    stamp = result.get("provenance", {})
    made = (stamp.get("digest", ""), stamp.get("spec") if spec else "")
    return {"digest": made[0], "stale": bool(stamp) and made != (code, spec)}


def paper_path(plan: Plan, folder: Literal["costs", "memory"], paper: str) -> Path:
    return plan.root / folder / f"{paper}.json"


def eval_path(plan: Plan, run: str) -> Path:
    """The result of a run, which may stand under the name of the same run of another variant."""
    return plan.root / "runs" / plan.evaluation_of[run] / "eval.json"


def model_results(
    plan: Plan, folder: Literal["costs", "memory"], kind: type[M]
) -> dict[str, dict[str, Any]]:
    """Variant -> its part of its paper's file, which must be as its model; only of papers with one."""
    paths = {paper: paper_path(plan, folder, paper) for paper in plan.config.papers}
    by_paper = _existing(paths, Written)
    known = {}
    for name in plan.models:
        paper = name.split("/")[0]
        if name in by_paper.get(paper, {}):
            known[name] = check(by_paper[paper][name], kind, paths[paper], name)
    return known


def costs(plan: Plan) -> dict[str, dict[str, Any]]:
    """Variant -> its counted cost."""
    return model_results(plan, "costs", Counted)


class Tested(NamedTuple):
    """The curve of a training's tests on the test set, of which one counts as the best."""

    metric: str  # that decides
    points: list[tuple[int, float]]  # (step, value)
    best: int  # step


@dataclass(frozen=True)
class Outcomes:
    """How the jobs ended, and what the page and the plots show besides rows."""

    failed: dict[str, str]  # run -> "diverged"
    done: int  # runs evaluated, each once
    runs: int  # runs to evaluate
    counted: int  # models
    losses: dict[str, list[tuple[int, float]]]  # run -> (step, loss)
    tested: dict[str, Tested]  # run -> its tests in training, where its recipe selects
    tokens: dict[str, list[int]]  # model -> tokens into the first layer, then out of each layer
    trunks: dict[str, int]  # model -> parameters of its trunk
    memory: dict[str, dict[str, Any]]  # model -> its predicted peaks, with their convention
    premises: dict[str, dict[str, Any]]  # by backbone
    seconds: dict[str, float]  # step -> of all its jobs together
    commits: tuple[str, ...]
    versions: dict[str, tuple[str, ...]]
    devices: tuple[str, ...]


def read_outcomes(plan: Plan) -> Outcomes:
    """What the results folder holds besides rows."""
    eval_paths = {run: eval_path(plan, run) for run in plan.evaluation_of.values()}
    folders = {run: plan.root / "runs" / run for run in plan.training_of.values()}
    evals = _existing(eval_paths, Evaluated)
    trains = _existing({run: folder / "train.json" for run, folder in folders.items()}, Trained)
    counted = costs(plan)
    folder = plan.root / "backbones"
    pretrained = _existing({b: folder / b / "pretrain.json" for b in plan.pretrainings}, Result)
    statuses = {run: result["status"] for run, result in [*trains.items(), *evals.items()]}
    stamps = [r["provenance"] for r in [*evals.values(), *counted.values()] if "provenance" in r]
    steps = {"pretrain": pretrained, "train": trains, "evaluate": evals}
    versions = [s.get("versions", {}) for s in stamps]
    return Outcomes(
        failed={run: status for run, status in statuses.items() if status != "ok"},
        done=len(evals),
        runs=len(eval_paths),
        counted=len(counted),
        losses={
            run: [tuple(p) for p in t["losses"]] for run, t in trains.items() if t.get("losses")
        },
        tested={run: found for run, t in trains.items() if (found := _tested(plan.runs[run], t))},
        tokens={name: _tokens(c["tokens"]) for name, c in counted.items() if c.get("tokens")},
        trunks={
            name: c["params_by_part"]["trunk"]["total"]
            for name, c in counted.items()
            if "trunk" in c.get("params_by_part", {})
        },
        memory=model_results(plan, "memory", Predicted),
        premises=premises(plan),
        seconds={k: sum(r.get("seconds", 0.0) for r in v.values()) for k, v in steps.items() if v},
        commits=_distinct(s.get("commit") for s in stamps),
        versions={k: _distinct(v.get(k) for v in versions) for k in sorted(set().union(*versions))},
        devices=_distinct(r.get("provenance", {}).get("device") for r in evals.values()),
    )


def _tested(run: Run, trained: dict[str, Any]) -> Tested | None:
    if not run.recipe.select or not trained.get("tested"):
        return None
    metric = run.recipe.select.metric
    for step, found in trained["tested"]:
        if metric not in found:
            raise UserError(
                f"{run.name}: train.json: tested: no {metric} after step {step}; train again"
            )
    return Tested(metric, [(s, found[metric]) for s, found in trained["tested"]], trained["best"])


def premises(plan: Plan) -> dict[str, dict[str, Any]]:
    """Backbone -> what the check of its premise found."""
    folder = plan.root / "backbones"
    return _existing({b: folder / b / "premise.json" for b in plan.pretrainings}, Premised)


def _existing(paths: dict[str, Path], kind: type[M]) -> dict[str, dict[str, Any]]:
    return {name: read_checked(path, kind) for name, path in paths.items() if path.exists()}


def _tokens(layers: list[dict[str, int]]) -> list[int]:
    first = layers[0]["sequences"] * layers[0]["entering_attention"]
    return [first, *(t["sequences"] * t["leaving"] for t in layers)]


def _distinct(texts: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({t for t in texts if t}))
