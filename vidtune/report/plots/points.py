"""What a variant costs and what it reaches, as points of plots of accuracy against cost."""

import statistics
from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

from vidtune.plan import Plan
from vidtune.report.numbers.rows import Row, index_rows

# Metric -> what an axis says of it. GFLOPs are of one view here.
COSTS = {
    "gflops": "GMACs of one view",
    "train_gib": "predicted training memory, GiB",
    "params_tuned": "tuned parameters, M",
    "output_tokens": "tokens after the last layer",
    "throughput": "throughput, videos/s",
}
ACCURACIES = {"recognition": ("top1", "pair"), "retrieval": ("r1", "rsum", "pair")}


class Point(NamedTuple):
    variant: str
    method: str
    backbone: str  # as declared, which the costs are of
    task: str
    data: dict[str, str]  # "learned": the dataset it was trained on; "printed": that of its paper
    costs: dict[str, float]
    conditions: dict[str, str]  # of a cost that has some, as a batch
    learned: dict[str, list[float]]  # metric -> one value per seed, at the scale at hand
    printed: dict[str, float]

    def value(self, metric: str, source: str) -> float | None:
        """The mean over seeds ("learned"), or the printed number ("printed")."""
        if source == "printed":
            return self.printed.get(metric)
        seeds = self.learned.get(metric)
        return statistics.fmean(seeds) if seeds else None


def points(plan: Plan, rows: list[Row]) -> list[Point]:
    """Every declared variant that has a cost and an accuracy, learned or printed."""
    ours, printed = index_rows(rows), index_rows(rows, "paper")
    out = []
    for name, model in plan.models.items():
        costs, conditions = {}, {}
        for metric in COSTS:
            known = [r for r in ours.get((name, metric), []) if not r.text]
            if known:
                views = model.n_views if metric == "gflops" else 1
                costs[metric] = known[0].value / views
                if metric in ("train_gib", "throughput"):
                    on = f"{known[0].device}; " if metric == "throughput" else ""
                    conditions[metric] = on + known[0].condition
        metrics = ACCURACIES[model.task]
        run = plan.runs.get(f"{name}@{plan.scale.seeds[0]}")
        data = {"learned": run.dataset.name if run else "", "printed": plan.variants[name].dataset}
        learned = {m: [r.value for r in ours[name, m]] for m in metrics if (name, m) in ours}
        in_print = {m: printed[name, m][0].value for m in metrics if (name, m) in printed}
        if costs and (learned or in_print):
            out.append(
                Point(
                    name, model.method, model.backbone.name, model.task, data,
                    costs, conditions, learned, in_print,
                )
            )  # fmt: skip
    return out


def on_largest(known: list[Point], metric: str, source: str) -> tuple[list[Point], str]:
    """Those that have a number of a metric on the dataset that most have one on, and its name: numbers
    of two datasets say nothing about each other."""
    having = [p for p in known if p.value(metric, source) is not None]
    if not having:
        return [], ""
    (most, _), *_ = Counter(p.data[source] for p in having).most_common()
    return [p for p in having if p.data[source] == most], most


def front(at: Iterable[tuple[float, float, Any]], more_is_better: bool = False) -> list[Any]:
    """The keys of the (cost, accuracy, key) that no other one beats: none is both cheaper (or as cheap)
    and more accurate, or cheaper and as accurate. In ascending order of cost; `more_is_better`: a
    high cost is a good one, as a throughput."""
    sign = -1 if more_is_better else 1
    best, out = float("-inf"), []
    for _, value, key in sorted(at, key=lambda p: (sign * p[0], -p[1])):
        if value > best:
            best = value
            out.append(key)
    return out[::sign]
