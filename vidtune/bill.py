"""What a plan costs on a cluster: the jobs that a profile submits, and GPU hours by rule and by table.

The hours are arithmetic on kept predictions (vidtune/cost/fits.py): nothing is measured, and neither
decoding nor waiting in a queue is part of them. Imports no torch.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from vidtune.cluster import BESIDE, Asks, Site
from vidtune.cost import fits
from vidtune.datasets import readiness
from vidtune.datasets.stages import SHARED, shards_of, stages_of
from vidtune.plan import Plan
from vidtune.remote import cache
from vidtune.spec import GIB, Table, UserError, parse_gpus, read_yaml

PROFILES = Path("workflow/profiles")
# Snakemake starts again in each job, by some executors twice, and reads the rules and the matrix: so many
# seconds each as a dry run of the full matrix took on an idle core (docs/cluster.md).
STARTS, START = {"slurm": 2}, 2.3


class Profile(NamedTuple):
    """Of Snakemake's profile, what decides where jobs run."""

    path: Path
    executor: str
    site: Site

    @property
    def plugin(self) -> str:
        """The package of the executor."""
        return f"snakemake-executor-plugin-{self.executor}"


def read_profile(name: str) -> Profile:
    """The profile of a path, or one of workflow/profiles by its name. Raises `UserError`."""
    places = [Path(name), PROFILES / name]
    files = [p / file for p in places for file in ("config.yaml", "profile.yaml")]
    path = next((p for p in (*places, *files) if p.is_file()), None)
    if path is None:
        known = ", ".join(sorted(p.parent.name for p in PROFILES.glob("*/config.yaml")))
        raise UserError(f"--profile {name}: no such profile; give a path or one of {known}")
    raw = read_yaml(path)
    executor = raw.get("executor")
    if not isinstance(executor, str):
        raise UserError(
            f"{path}: executor: expected the name of a cluster's, such as slurm; found {executor!r}"
        )
    defaults = raw.get("default-resources") or {}
    if not isinstance(defaults, Mapping):
        raise UserError(f"{path}: default-resources: expected a mapping of names to values")
    return Profile(path, executor, Site.read(defaults))


def bill(
    plan: Plan, profile: Profile, gpus: str | None = None, speed: fits.Speed | None = None
) -> dict[str, Any]:
    """Jobs of each rule of the whole matrix, as if nothing was done and all data placed, and GPU hours.

    `gpus`, such as "8x80GiB", are those of one training; None: one, which has whole batches. Hours are
    of what has a prediction, `unknown` how many trainings and tests have none.
    """
    split = _split(plan, gpus)
    asks = Asks(plan, split, profile.site)
    too_large = {name for name, found in split.items() if isinstance(found, str)}
    tested = [name for name in dict.fromkeys(plan.evaluation_of.values()) if name not in too_large]
    trained = list(dict.fromkeys(plan.training_of[name] for name in tested))
    spent = {
        (rule, name): _gpu_hours(asks, rule, name, speed)
        for rule, names in (("train", trained), ("evaluate", tested))
        for name in names
    }
    rules = []
    counts = _jobs(plan, trained, tested)
    for rule, count in counts.items():
        of = ("train", "evaluate") if rule == "learn" else (rule,)
        hours = [h for (which, _), h in spent.items() if which in of]
        rules.append({"rule": rule, "jobs": count, "beside": rule in BESIDE, **_sum(hours)})
    submitted = sum(n for rule, n in counts.items() if rule not in BESIDE)
    seconds = STARTS.get(profile.executor, 1) * START
    on_gpus = sum(asks.choice(name).ranks for _, name in spent)
    return {
        "scale": plan.scale.name,
        "profile": str(profile.path),
        "executor": profile.executor,
        "plugin": profile.plugin,
        "installed": find_spec(profile.plugin.replace("-", "_")) is not None,
        "gpus": gpus,
        "rules": rules,
        "submitted": submitted,
        "beside": sum(counts.values()) - submitted,
        "too_large": sorted(too_large),
        **_sum(spent.values()),
        "start_seconds": seconds,  # of each job
        "start_gpu_hours": seconds * on_gpus / 3600,  # in which GPUs wait for them
        "tables": [
            row for table in plan.config.tables.values() if (row := _table(plan, table, spent))
        ],
    }


def _split(plan: Plan, gpus: str | None) -> dict[str, fits.Choice | str]:
    """How each run with a prediction is split, or why it does not fit."""
    if gpus is None:
        return {}
    count, size = parse_gpus(gpus)
    names = [n for n, run in plan.runs.items() if fits.kept_at(plan, run.workload()).is_file()]
    return fits.split_all(plan, names, count, size / GIB)


def _gpu_hours(asks: Asks, rule: str, name: str, speed: fits.Speed | None) -> float | None:
    hours = asks.hours(rule, name, speed)
    return None if hours is None else hours * asks.choice(name).ranks


def _sum(hours: Iterable[float | None]) -> dict[str, float | int]:
    every = list(hours)
    return {"gpu_hours": sum(h for h in every if h is not None), "unknown": every.count(None)}


def _jobs(plan: Plan, trained: list[str], tested: list[str]) -> dict[str, int]:
    """Jobs of each rule, of runs that fit."""
    counts = plan.counts()
    if "learn" in counts:
        counts["learn"] = len({plan.runs[name].model.name for name in tested})
    else:
        counts |= {"train": len(trained), "evaluate": len(tested)}
    counts["look"] = len({*plan.looks.values()} & {*tested})
    counts = {"fetch": len(cache.needed(*(plan.runs[name] for name in tested))), **counts}
    datasets = plan.config.datasets
    read = {plan.runs[name].dataset.name for name in tested}
    stages: Counter[str] = Counter()
    for dataset in (datasets[name] for name in sorted(read) if not datasets[name].generated):
        for stage in stages_of(dataset):
            if stage not in SHARED:
                stages[f"data_{stage}"] += 1
                count = shards_of(dataset, stage)
                stages[f"data_{stage}_shard"] += count if count > 1 else 0
    owners = {o for name in read if (o := _extracted(plan, name))}
    fetched = [name for name in owners if readiness.stage_before(plan, name, "extract")]
    before = {"data_fetch": len(fetched), "data_extract": len(owners)}
    return {rule: n for rule, n in {**before, **stages, **counts}.items() if n}


def _extracted(plan: Plan, dataset: str) -> str | None:
    """The dataset whose archives are extracted for this one, if any."""
    before = readiness.stage_before(plan, dataset, "split")
    generated = plan.config.datasets[dataset].generated
    return before[0] if before and not generated else None


def _table(
    plan: Plan, table: Table, spent: Mapping[tuple[str, str], float | None]
) -> dict[str, Any] | None:
    """What the learned numbers of a published table take; None: it prints none of a variant's.

    Tables share runs: what each takes by itself adds up to more than all of them.
    """
    if table.paper is None:
        return None
    learned = {name for name, metric in plan.config.metrics.items() if metric.kind == "learned"}
    printed = (n.rows for n in plan.config.papers[table.paper].numbers if n.where == table.where)
    rows = [
        f"{table.paper}/{key}" for part in printed for key, row in part.items() if learned & {*row}
    ]
    variants = [name for name in dict.fromkeys(rows) if name in plan.variants]
    if not variants:
        return None
    runs = [f"{name}@{seed}" for name in variants for seed in plan.scale.seeds]
    tested = {plan.evaluation_of[name] for name in runs if name in plan.evaluation_of}
    needed = {("evaluate", name) for name in tested}
    needed |= {("train", plan.training_of[name]) for name in tested}
    found = _sum(spent.get(job) for job in needed)  # a run that does not fit is unknown too
    return {"table": table.name, "variants": len(variants), "trained": len(tested), **found}
