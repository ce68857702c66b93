"""What the results folder holds besides rows: how jobs ended, loss curves, tokens, the premise.

Absent files are absent facts; a file that is there but cut short is an error.
"""

from dataclasses import dataclass, field
from typing import Any

from vidtune.plan import Plan
from vidtune.report.numbers.result_files import checked
from vidtune.report.numbers.results import costs as known_costs
from vidtune.report.numbers.results import eval_path


@dataclass(frozen=True)
class Facts:
    failed: dict[str, str] = field(default_factory=dict)  # run -> "diverged" or "oom"
    done: int = 0  # runs evaluated
    losses: dict[str, list[tuple[int, float]]] = field(default_factory=dict)  # of each run
    tokens: dict[str, list[int]] = field(default_factory=dict)  # model -> into layer 1, out of each
    counted: int = 0  # models
    premises: dict[str, dict[str, Any]] = field(default_factory=dict)  # by backbone
    seconds: dict[str, float] = field(default_factory=dict)  # step -> all jobs together
    commits: tuple[str, ...] = ()
    versions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    devices: tuple[str, ...] = ()


def read(plan: Plan) -> Facts:
    """Raises `UserError` for a results file that cannot be read."""
    evals = _found({n: eval_path(plan, n) for n in plan.runs}, ("status",))
    trains = _found({n: eval_path(plan, n).with_name("train.json") for n in plan.runs}, ("status",))
    known = known_costs(plan)
    costs = {n: known[n] for n in plan.models if n in known}  # in the plan's order
    folder = plan.root / "backbones"
    premises = _found({b: folder / b / "premise.json" for b in plan.pretrainings}, ())
    pretrained = _found({b: folder / b / "pretrain.json" for b in plan.pretrainings}, ())
    ends = {n: facts["status"] for n, facts in [*trains.items(), *evals.items()]}
    stamps = [d["provenance"] for d in [*evals.values(), *costs.values()] if "provenance" in d]
    steps = {"pretrain": pretrained, "train": trains, "evaluate": evals}
    return Facts(
        failed={n: status for n, status in ends.items() if status != "ok"},
        done=len(evals),
        losses={n: [tuple(p) for p in t["losses"]] for n, t in trains.items() if t.get("losses")},
        tokens={n: _leaving(c["tokens"]) for n, c in costs.items() if c.get("tokens")},
        counted=len(costs),
        premises=premises,
        seconds={k: sum(d.get("seconds", 0.0) for d in v.values()) for k, v in steps.items() if v},
        commits=_distinct(s.get("commit", "") for s in stamps),
        versions=_versions(stamps),
        devices=_distinct(
            d["provenance"].get("device", "") for d in evals.values() if "provenance" in d
        ),
    )


def _found(paths: dict[str, Any], keys: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    return {name: checked(path, keys) for name, path in paths.items() if path.exists()}


def _leaving(layers: list[dict[str, int]]) -> list[int]:
    """Tokens of one video that enter the first layer, then that leave each layer."""
    first = layers[0]["sequences"] * layers[0]["entering_attention"]
    return [first, *(t["sequences"] * t["leaving"] for t in layers)]


def _distinct(texts: Any) -> tuple[str, ...]:
    return tuple(sorted({t for t in texts if t}))


def _versions(stamps: list[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    names = sorted({k for s in stamps for k in s.get("versions", {})})
    return {k: _distinct(s.get("versions", {}).get(k, "") for s in stamps) for k in names}
