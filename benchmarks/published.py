"""The papers' measured cells, measured at full size: `make bench-gpu`.

Each job of published.yaml runs in a process of its own, so that memory is clean and a crash is a
row. What is there already is left as it is: a run that was stopped goes on where it was.

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
from typing import Literal

from vidtune import provenance
from vidtune.gpu import devices, nvml
from vidtune.gpu.lease import lease
from vidtune.plan import Plan, load
from vidtune.spec import UserError, load_json, parse, read_yaml, write_json
from vidtune.spec.nouns import Count, Frozen

HERE = Path(__file__).parent
PHASES = {"train": "train", "infer": "inference", "throughput": "inference"}  # metric -> phase


class Group(Frozen):
    """Variants of a paper that are measured alike."""

    paper: str
    where: tuple[str, ...]
    note: str
    variants: tuple[str, ...]
    batch: Count
    precision: Literal["fp32", "amp16", "bf16"]
    attention: Literal["fused", "memory-efficient", "explicit"]
    only: tuple[Literal["train", "inference", "loader"], ...]


class Except(Frozen):
    """Printed cells that no job measures, as patterns of <paper>/<variant>/<metric>."""

    cells: tuple[str, ...]
    reason: str


class Published(Frozen):
    jobs: tuple[Group, ...]
    exceptions: tuple[Except, ...]


def read(plan: Plan, path: Path = HERE / "published.yaml") -> Published:
    """Raises `UserError` for a variant that is not declared, or is measured twice."""
    found = parse(Published, read_yaml(path), path)
    seen: set[str] = set()
    for group in found.jobs:
        for variant in group.variants:
            name = f"{group.paper}/{variant}"
            if name not in plan.models:
                raise UserError(f"{path}: {name}: not a declared variant; see `vidtune ls`")
            if name in seen:
                raise UserError(f"{path}: {name}: in two jobs, whose results would be one file")
            seen.add(name)
    return found


def phase_of(metric: str) -> str:
    """The phase that a measured metric is of: "train_gb" -> "train"."""
    return PHASES[metric.split("_")[0]]


def command(name: str, group: Group, args: argparse.Namespace, out: Path) -> list[str]:
    asked = {
        "--batch": args.batch or group.batch,
        "--precision": group.precision,
        "--attention": group.attention,
        "--steps": args.steps,
        "--warmup": args.warmup,
        "--device": args.device,
        "--out": out,
    }
    flags = [str(part) for pair in asked.items() for part in pair]
    busy = ["--even-if-busy"] if args.even_if_busy else []
    head = [sys.executable, "-m", "vidtune", "bench", name]
    return [*head, *flags, *busy, "--only", *group.only]


def run(name: str, group: Group, args: argparse.Namespace, out: Path) -> str:
    """Measure one variant; its status. What ended without a result is a row that says how."""
    given = command(name, group, args, out)
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
            "batch": args.batch or group.batch,
            "precision": group.precision,
            "attention": group.attention,
            "device": args.device,
            "date": datetime.now(UTC).date().isoformat(),
            "commit": provenance.commit(),
        },
    }
    write_json(out, row)
    return row["status"]


def wanted(found: Published, patterns: list[str]) -> list[tuple[str, Group]]:
    """(variant, its group) of all jobs that match a pattern."""
    jobs = [(f"{g.paper}/{v}", g) for g in found.jobs for v in g.variants]
    for pattern in patterns:
        if not any(fnmatch(name, pattern) for name, _ in jobs):
            raise UserError(f"--only {pattern}: matches no job of {HERE / 'published.yaml'}")
    return [(n, g) for n, g in jobs if not patterns or any(fnmatch(n, p) for p in patterns)]


def measure_all(args: argparse.Namespace) -> None:
    """Every job that has no result yet, one after the other."""
    jobs = wanted(read(load("config")), args.only)
    folder = Path(args.out or ("results/trial" if args.device == "cpu" else "results/reference"))
    folder /= "cpu" if args.device == "cpu" else devices.slug()
    for k, (name, group) in enumerate(jobs, 1):
        out = folder / f"{name}.json"
        if out.exists() and not args.again and load_json(out)["status"] != "failed":
            said = "there already"
        else:
            said = run(name, group, args, out)
        print(f"{k}/{len(jobs)} {name}: {said}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[], help="patterns of <paper>/<variant>")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--batch", type=int, help="instead of the papers'")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--out", help="folder (default: results/reference; of a CPU results/trial)")
    parser.add_argument("--again", action="store_true", help="measure what is there already too")
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
