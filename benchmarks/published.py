"""The papers' measured cells, measured at full size: `make bench-gpu`.

A job is a variant under the conditions of its printed memory or speed, as config/papers/*.yaml
declare them. One process measures them all, without what a new one would cost each; after a crash,
which is a row, comes another. Results that exist are kept, so a run that was stopped resumes.

    python benchmarks/published.py                      # all of it, into results/reference/<gpu>/
    python benchmarks/published.py --only "tempme/*"    # some of it
    python benchmarks/published.py --device cpu --only tempme/tempme-b32 --batch 1 --steps 2
"""

import argparse
import multiprocessing
import signal
import sys
import time
from contextlib import closing, nullcontext, suppress
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.cost.measure import measure
from vidtune.cost.measured_phases import BenchJob, measured_recipe
from vidtune.cost.predict_memory import predict
from vidtune.gpu import devices, nvml
from vidtune.gpu.lease import lease
from vidtune.plan import Plan, load
from vidtune.spec import Assumed, UserError, load_json, unknown, write_json

ONLY = ("train", "inference", "released")
PATIENCE = 10.0  # seconds in which a GPU is to be idle after a process has ended
CONTEXT = multiprocessing.get_context("spawn")
Facts = dict[str, Any] | None


def jobs_of(plan: Plan) -> dict[str, Assumed]:
    """Variant -> batch of one GPU, precision and attention to measure it under."""
    jobs = {}
    for paper in plan.config.papers.values():
        under = paper.measured_under()
        for group in paper.also_measured:
            under |= dict.fromkeys(group.rows, group)
        jobs |= {f"{paper.name}/{row}": one for row, one in under.items()}
    return jobs


def job_of(plan: Plan, name: str, under: Assumed, args: argparse.Namespace) -> BenchJob:
    """A variant as it is measured under the conditions of its printed numbers."""
    recipe = plan.config.recipes[plan.variants[name].recipe]
    return BenchJob(
        model=plan.models[name],
        recipe=measured_recipe(recipe, args.batch or under.batch, under.precision),
        device=args.device,
        attention=under.attention,
        steps=args.steps,
        warmup=args.warmup,
        phases=ONLY,
    )


def predicted(job: BenchJob) -> dict[str, float]:
    """The allocated peak of each phase in GiB, as it is predicted without a GPU."""
    how = (job.recipe.batch, job.recipe.computes_in, job.attention)
    checkpoint = job.recipe.checkpoint
    ours, theirs = (
        predict(job.model, *how, released=form, checkpoint=checkpoint) for form in (False, True)
    )
    phases = {"train": ours["train"], "inference": ours["inference"], "released": theirs["train"]}
    return {phase: peaks["peak_gib"] for phase, peaks in phases.items()}


class Worker:
    """A process that measures one job after the other; a new one where it has crashed."""

    def __init__(self, args: argparse.Namespace, uuid: str | None) -> None:
        self.args, self.uuid = args, uuid
        self.process: Any = None

    def measure(self, job: BenchJob) -> dict[str, Any]:
        """The row of a job; a crash is a row that says how it ended. Raises `UserError`."""
        if self.process is None:
            self._start()
        try:
            self.pipe.send(job)
            row = self.pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            killed = self.process.exitcode == -signal.SIGKILL  # the machine's memory is full
            why = "killed: the machine's memory is full" if killed else "the process ended"
            row = {"status": "oom" if killed else "failed", "error": why}
        if isinstance(row, UserError):
            raise row
        if "error" in row:  # whatever it has left on the GPU goes with it
            self.close()
            row["conditions"] = self._conditions(job)
        return row

    def close(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
            self.process = None

    def _start(self) -> None:
        gpu = _facts(self.uuid, self.args)
        self.pipe, other = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_work, args=(other, gpu), daemon=True)
        self.process.start()
        other.close()  # so that its end is noticed

    def _conditions(self, job: BenchJob) -> dict[str, Any]:
        return {
            "variant": job.model.name,
            "batch": job.recipe.batch,
            "precision": job.recipe.computes_in,
            "attention": job.attention,
            "device": job.device,
            "date": datetime.now(UTC).date().isoformat(),
            "commit": provenance.commit(),
        }


def _work(pipe: Any, gpu: Facts) -> None:
    """What the process does: takes jobs, gives rows, until it is ended or what asks has ended."""
    with suppress(EOFError):
        while True:
            job = pipe.recv()
            try:
                row = measure(job, Path(), gpu)
            except UserError as e:
                row = e
            except Exception as e:
                row = {"status": "failed", "error": f"{type(e).__name__}: {e}".splitlines()[0]}
            pipe.send(row)


def _facts(uuid: str | None, args: argparse.Namespace) -> Facts:
    """What is known of the GPU, once the process before has left it. Raises `UserError` where it is in
    use."""
    if uuid is None:
        return None
    until = time.monotonic() + PATIENCE
    while (busy := nvml.busy(uuid)) and time.monotonic() < until:
        time.sleep(0.1)
    if busy and not args.even_if_busy:
        raise UserError(f"GPU {uuid}: {busy}; wait until it is idle, or give --even-if-busy")
    return {**nvml.facts(uuid), "busy": busy}


def wanted(jobs: dict[str, Assumed], patterns: list[str]) -> dict[str, Assumed]:
    """The jobs that match a pattern."""
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in jobs):
            raise unknown("--only", pattern, jobs)
    matching = (n for n in jobs if not patterns or any(fnmatch(n, p) for p in patterns))
    return {name: jobs[name] for name in matching}


def measure_all(args: argparse.Namespace, uuid: str | None) -> None:
    """Every job that has no result yet, one after the other."""
    plan = load("config")
    jobs = wanted(jobs_of(plan), args.only)
    folder = Path(args.out or ("results/trial" if args.device == "cpu" else "results/reference"))
    folder /= "cpu" if args.device == "cpu" else devices.slug()
    worker = Worker(args, uuid)
    with closing(worker):
        for k, (name, under) in enumerate(jobs.items(), 1):
            out = folder / f"{name}.json"
            if out.exists() and not args.again and load_json(out)["status"] != "failed":
                status = "measured before"
            else:
                job = job_of(plan, name, under, args)
                row = worker.measure(job) | {"predicted": predicted(job)}
                write_json(out, row)
                status = row["status"]
            print(f"{k}/{len(jobs)} {name}: {status}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], help="patterns of <paper>/<variant>")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, help="instead of the papers'")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--out", help="folder (default: results/reference; of a CPU results/trial)")
    parser.add_argument("--again", action="store_true", help="measure again what has a result")
    parser.add_argument("--even-if-busy", action="store_true", help="on a GPU in use; rows say so")
    return parser


def main(argv: list[str] | None = None) -> int:
    """0 done (running out of memory is a result), 2 no GPU, a busy one, or bad input."""
    args = _parser().parse_args(argv)
    try:
        if args.device == "cpu":
            if not args.only:
                raise UserError("--device cpu takes days for all of it; name some with --only")
            held = nullcontext()
        elif devices.slug() == "cpu":
            raise UserError("no GPU here; try a job with --device cpu --only <paper>/<variant>")
        else:
            held = lease(busy=nvml.busy, refuse=not args.even_if_busy, timeout=0)
        with held as got:
            measure_all(args, got and got.device)
    except UserError as e:
        print(f"published: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
