"""Which jobs of a scale are done and which are left, and what these take. Imports no torch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vidtune.datasets import readiness
from vidtune.events import format_span
from vidtune.plan import Plan
from vidtune.remote import cache
from vidtune.report import outputs
from vidtune.spec import UserError, read_text, shown
from vidtune.spec.read import dump

CHECKPOINT_MB, CLIP_MB = 0.4, 0.02  # a mini run's files; a generated clip of 64 pixels

UNKNOWN_DISK = (
    "unknown: a training keeps 4 bytes of each tuned parameter, 8 with its best; meanwhile 32 more"
)


class Jobs(NamedTuple):
    """The jobs of a rule."""

    rule: str
    left: int
    done: int
    seconds: float | None  # of those that are left; None: nobody has measured a job


def jobs(plan: Plan) -> list[Jobs]:
    """The jobs of each rule, as far as a look at the files tells: a job is done whose result is there and
    not older than its spec, in which nothing has changed. Snakemake, which also follows what a result is
    made from, may repeat more."""
    state: dict[str, list[bool]] = {rule: [] for rule in (*plan.counts(), "fetch")}
    for rule, done in _states(plan):
        state[rule].append(done)
    left = any(not done for rule in state for done in state[rule])
    shown = [(plan.root / "rows.csv").exists(), all(p.exists() for p in outputs.files(plan))]
    for rule, there in zip(("collect", "report"), shown, strict=True):
        state[rule].append(there and not left)
        left |= not there
    out = []
    for rule, every in state.items():
        todo, each = every.count(False), plan.scale.job_seconds.get(rule)
        seconds = None if each is None and todo else (each or 0.0) * todo
        out.append(Jobs(rule, todo, every.count(True), seconds))
    return out


def _states(plan: Plan) -> Iterator[tuple[str, bool]]:
    """(rule, whether it is done) of every job but those that show results."""
    specs = {path: dump(spec) for path, spec in plan.specs().items()}

    def done(result: Path, kind: str, name: str) -> bool:
        """Whether a result follows the spec of its job."""
        path = plan.spec_of(kind, name)
        return _follows(result, path, specs[path])

    for file in cache.needed(*plan.runs.values()):
        yield "fetch", cache.file_exists(file.path)
    for name in plan.generated:
        manifest = Path(plan.config.settings.data) / name / "manifest.json"
        yield "generate", done(manifest, "generated", name)
    for name in plan.pretrainings:
        folder = plan.root / "backbones" / name
        yield "pretrain", done(folder / "clip.pt", "backbones", name)
        yield "premise", done(folder / "premise.json", "premises", name)
    for kind, rule in (("costs", "cost"), ("memory", "memory")):
        for paper in plan.config.papers:
            yield rule, done(plan.root / kind / f"{paper}.json", kind, paper)
    yield from _states_of_runs(plan, done)
    for run in dict.fromkeys(plan.looks.values()):
        yield "look", done(plan.root / "looks" / f"{run}.npz", "runs", run)


def _states_of_runs(
    plan: Plan, done: Callable[[Path, str, str], bool]
) -> Iterator[tuple[str, bool]]:
    def tested(run: str) -> bool:
        return done(plan.root / "runs" / run / "eval.json", "runs", run)

    runs = list(dict.fromkeys(plan.evaluation_of.values()))
    if plan.scale.together:  # one job trains and tests all seeds of a variant
        by_variant: dict[str, list[str]] = {}
        for run in runs:
            by_variant.setdefault(plan.runs[run].model.name, []).append(run)
        for variant in by_variant.values():
            yield "learn", all(map(tested, variant))
        return
    for run in dict.fromkeys(plan.training_of.values()):
        ends = [name for name, of in plan.training_of.items() if of == run]
        known = plan.root / "trained" / run
        yield (
            "train",
            done(known, "runs", run) or all(tested(plan.evaluation_of[name]) for name in ends),
        )
    for run in runs:
        yield "evaluate", tested(run)


def _follows(result: Path, spec: Path, content: str) -> bool:
    try:
        return read_text(spec) == content and result.stat().st_mtime_ns >= spec.stat().st_mtime_ns
    except (OSError, UserError):
        return False


def runs_done(plan: Plan) -> tuple[int, int]:
    """How many runs of a scale have a result, of how many; equal runs once."""
    runs = dict.fromkeys(plan.evaluation_of.values())
    return sum((plan.root / "runs" / run / "eval.json").exists() for run in runs), len(runs)


def estimate(plan: Plan) -> dict[str, Any]:
    """What is left of a scale: jobs and seconds of each rule, disk and downloads; seconds are None where
    nobody has measured them."""
    known = {job.rule: job for job in jobs(plan)}
    seconds = [job.seconds for job in known.values()]
    total = None if None in seconds else round(sum(s for s in seconds if s) / 2)
    absent = [f for f in cache.needed(*plan.runs.values()) if not cache.file_exists(f.path)]
    trainings = known["learn" if plan.scale.together else "train"].left
    trainings *= len(plan.scale.seeds) if plan.scale.together else 1
    clips = sum(
        sum(videos.clips.values())
        for name, videos in plan.generated.items()
        if not (Path(plan.config.settings.data) / name / "manifest.json").exists()
    )
    downloads = sum(f.bytes or 0 for f in absent) / 1e6
    return {
        "scale": plan.scale.name,
        "left": sum(job.left for job in known.values()),
        "done": sum(job.done for job in known.values()),
        "rules": [
            {
                "rule": job.rule,
                "jobs": job.left,
                "done": job.done,
                "seconds": None if job.seconds is None else round(job.seconds),
            }
            for job in known.values()
        ],
        "seconds_2_cores": total,
        # of trainings of declared backbones nobody has measured it
        "disk_mb": None
        if trainings and not plan.scale.backbones
        else round(clips * CLIP_MB + trainings * CHECKPOINT_MB + downloads),
        "downloads": sorted(f"{shown(f.urls[0])} ({cache.format_size(f.bytes)})" for f in absent),
        "bring": readiness.describe_absent(readiness.absent_datasets(plan)),
    }


def format_estimate(plan: Plan) -> str:
    """The estimate as text; at its end what a user has to provide, if anything."""
    e = estimate(plan)
    lines = [f"scale {plan.scale.name}: {plan.scale.says}"]
    if e["left"]:
        lines += [
            f"  {r['rule']:9} {r['jobs']:4} jobs left, {r['done']:4} done   {format_span(r['seconds'])}"
            for r in e["rules"]
            if r["jobs"] + r["done"]
        ]
        lines += [
            f"  time      {format_span(e['seconds_2_cores'])} on two cores",
            "  disk      " + (UNKNOWN_DISK if e["disk_mb"] is None else f"{e['disk_mb']} MB"),
            *(f"  download  {d}" for d in e["downloads"]),
        ]
    else:
        lines.append(f"  nothing is left to do: all {e['done']} jobs are done")
    if e["bring"]:
        lines.append("to provide, before runs that need it can start:")
    return "\n".join([*lines, *(f"  {line}" for line in e["bring"])])
