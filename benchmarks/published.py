"""The papers' measured cells, measured at full size: `make bench-gpu`.

A job is a variant under the conditions of its printed memory or speed, as config/papers/*.yaml
declare them. Each runs in a process of its own, so that memory is clean and a crash is a row.
Results that exist are kept, so a run that was stopped resumes.

    python benchmarks/published.py                      # all of it, into results/reference/<gpu>/
    python benchmarks/published.py --only "tempme/*"    # some of it
    python benchmarks/published.py --device cpu --only tempme/tempme-b32 --batch 1 --steps 2
"""

import argparse
import subprocess
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path

from vidtune import provenance
from vidtune.gpu import devices, nvml
from vidtune.gpu.lease import lease
from vidtune.plan import Plan, load
from vidtune.spec import Assumed, UserError, load_json, unknown, write_json

ONLY = ("train", "inference")


def jobs_of(plan: Plan) -> dict[str, Assumed]:
    """Variant -> batch of one GPU, precision and attention to measure it under."""
    jobs = {}
    for paper in plan.config.papers.values():
        under = paper.measured_under()
        for group in paper.also_measured:
            under |= dict.fromkeys(group.rows, group)
        jobs |= {f"{paper.name}/{row}": _measurable(one) for row, one in under.items()}
    return jobs


def _measurable(under: Assumed) -> Assumed:
    """Replace float16 weights, which no recipe has, by autocast; verdicts then compare with nothing."""
    return under.model_copy(update={"precision": "amp16"}) if under.precision == "fp16" else under


def command(name: str, under: Assumed, args: argparse.Namespace, out: Path) -> list[str]:
    asked = {
        "--batch": args.batch or under.batch,
        "--precision": under.precision,
        "--attention": under.attention,
        "--steps": args.steps,
        "--warmup": args.warmup,
        "--device": args.device,
        "--out": out,
    }
    flags = [str(part) for pair in asked.items() for part in pair]
    busy = ["--even-if-busy"] if args.even_if_busy else []
    head = [sys.executable, "-m", "vidtune", "bench", name]
    return [*head, *flags, *busy, "--only", *ONLY]


def measure(name: str, under: Assumed, args: argparse.Namespace, out: Path) -> str:
    """Measure one variant and return its status. A crash is written as a row that says how it ended."""
    given = command(name, under, args, out)
    done = subprocess.run(given, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return load_json(out)["status"]
    last = (done.stderr.strip().splitlines() or ["no message"])[-1]
    if done.returncode == 2:
        raise UserError(last)
    killed = done.returncode in (-9, 137)  # by the system, when the machine's memory is full
    row = {
        "status": "oom" if killed else "failed",
        "error": "killed: the machine's memory is full" if killed else last,
        "conditions": {
            "variant": name,
            "batch": args.batch or under.batch,
            "precision": under.precision,
            "attention": under.attention,
            "device": args.device,
            "date": datetime.now(UTC).date().isoformat(),
            "commit": provenance.commit(),
        },
    }
    write_json(out, row)
    return row["status"]


def wanted(jobs: dict[str, Assumed], patterns: list[str]) -> dict[str, Assumed]:
    """The jobs that match a pattern."""
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name in jobs):
            raise unknown("--only", pattern, jobs)
    matching = (n for n in jobs if not patterns or any(fnmatch(n, p) for p in patterns))
    return {name: jobs[name] for name in matching}


def measure_all(args: argparse.Namespace) -> None:
    """Every job that has no result yet, one after the other."""
    jobs = wanted(jobs_of(load("config")), args.only)
    folder = Path(args.out or ("results/trial" if args.device == "cpu" else "results/reference"))
    folder /= "cpu" if args.device == "cpu" else devices.slug()
    for k, (name, under) in enumerate(jobs.items(), 1):
        out = folder / f"{name}.json"
        if out.exists() and not args.again and load_json(out)["status"] != "failed":
            status = "measured before"
        else:
            status = measure(name, under, args, out)
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
        with held:
            measure_all(args)
    except UserError as e:
        print(f"published: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
