"""List the jobs that are left, with an estimate of time, disk, downloads; with --gpus, how each run fits.

`--gpus 8x80GiB` says for every variant that the scale trains over how many GPUs and in how many parts a
batch is split, the predicted memory of each GPU and about how long training and test take, or why it does
not fit. Predictions are kept in the results; only what has changed is predicted anew.

`--profile slurm`, or the path of a profile, says how many jobs of each rule it submits, how many run beside
Snakemake, and the GPU hours of all and of each published table, from predictions that are kept; with --gpus
what has none is predicted first.
"""

import argparse
import math
from typing import Any

from vidtune import bill
from vidtune.cli.inputs import add_plan_json, as_path, print_result, read_plan
from vidtune.cost import fits
from vidtune.estimate import estimate, format_estimate
from vidtune.plan import Plan
from vidtune.plan.chosen import as_arguments
from vidtune.spec import GIB, UserError, parse_gpus


def arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_json(parser)
    parser.add_argument("--gpus", help="of one training: their number and size, as 8x80GiB")
    parser.add_argument(
        "--profile", type=as_path, help="of a cluster: its path, or its name in workflow/profiles"
    )
    parser.add_argument(
        "--tflops",
        nargs=2,
        type=float,
        metavar=("HALF", "SINGLE"),
        default=list(fits.Speed()),
        help="TFLOP/s that a GPU reaches in half precision and in float32 (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    if args.gpus is None and args.profile is None:
        return print_result(args, estimate(plan), format_estimate(plan))
    if not all(0 < speed < math.inf for speed in args.tflops):
        raise UserError("--tflops: expected two numbers above 0")
    speed = fits.Speed(*args.tflops)
    profile = bill.read_profile(args.profile) if args.profile else None
    if args.gpus is not None:
        gpus, size = parse_gpus(args.gpus)
        if missing := fits.missing(plan):
            from vidtune.cost import predict_step

            predict_step.keep(missing)
    if profile:
        result = bill.bill(plan, profile, args.gpus or plan.config.settings.gpus, speed)
        return print_result(args, result, format_bill(plan, result))
    rows = fits.table(plan, gpus, size / GIB, speed)
    result = {
        "scale": plan.scale.name,
        "gpus": gpus,
        "gib": size / GIB,
        **speed._asdict(),
        "rows": rows,
    }
    print_result(args, result, format_fits(result))


def format_bill(plan: Plan, result: dict[str, Any]) -> str:
    """What `vidtune.bill.bill` has found as text."""
    gpus = result["gpus"]
    each = f"at most {gpus} a training" if gpus else "one GPU a training, which has whole batches"
    lines = [f"scale {result['scale']} through {result['profile']} ({result['executor']}), {each}"]
    lines += ["", f"{'rule':18} {'jobs':>5}  {'where':10} {'GPU h':>9}"]
    for r in result["rules"]:
        where = "beside" if r["beside"] else "submitted"
        hours = _gpu_hours(r) if r["gpu_hours"] or r["unknown"] else ""
        lines.append(f"{r['rule']:18} {r['jobs']:5}  {where:10} {hours:>9}".rstrip())
    lines += ["", f"{'table':32} {'variants':>8} {'runs':>5} {'GPU h':>9}"]
    for t in result["tables"]:
        lines.append(f"{t['table']:32} {t['variants']:8} {t['trained']:5} {_gpu_hours(t):>9}")
    lines += [
        "",
        f"{result['submitted']} jobs are submitted, {result['beside']} run beside Snakemake; "
        f"{_gpu_hours(result)} GPU hours,",
        f"and {result['start_gpu_hours']:.1f} in which GPUs wait for a job to start, "
        f"{result['start_seconds']:g} s each, without the queue.",
        "A table takes what it says by itself; tables share runs. Nothing is measured: hours are counted",
        "operations at an assumed speed (--tflops), without decoding.",
    ]
    if not result["installed"]:
        lines.append(f"its executor is not installed here: pip install {result['plugin']}")
    if result["too_large"]:
        lines.append(
            f"{len(result['too_large'])} runs do not fit and are left out, ? in a table (--gpus {gpus})"
        )
    if result["unknown"]:
        lines.append(
            f"?: {result['unknown']} trainings and tests have no prediction; run `vidtune plan"
            f"{as_arguments(plan.config)} --gpus {gpus or '8x80GiB'}`, which takes minutes"
        )
    return "\n".join(lines)


def _gpu_hours(found: dict[str, Any]) -> str:
    """ "12.3"; "12.3+?" where some have no prediction, "?" where none has."""
    hours = found["gpu_hours"]
    known = f"{hours:.{1 if hours < 100 else 0}f}"
    if not found["unknown"]:
        return known
    return f"{known}+?" if hours else "?"


def format_fits(result: dict[str, Any]) -> str:
    """The rows of `vidtune.cost.fits.table` as text, with what they mean."""
    rows = result["rows"]
    head = f"{'variant':40} {'GPUs':>4} {'parts':>5} {'clips':>8} {'GiB':>6} {'train h':>8} {'test h':>7}"
    fit = sum("why" not in row for row in rows)
    again = any(row.get("recompute") for row in rows)
    return "\n".join(
        [
            head,
            *map(_format_row, rows),
            f"scale {result['scale']}: {fit} of {len(rows)} variants fit {result['gpus']} x "
            f"{result['gib']:g} GiB. Nothing is measured: GiB are predicted for one GPU, of which "
            f"{fits.CONTEXT:g} and {fits.FRAGMENTS:.0%} are left to CUDA and fragments; hours are "
            f"operations at {result['half']:g} TFLOP/s a GPU "
            f"in half precision and {result['single']:g} in float32, without decoding."
            + (" Where it recomputes, backward computes blocks again." if again else ""),
        ]
    )


def _format_row(row: dict[str, Any]) -> str:
    if "why" in row:
        return f"{row['variant']:40} does not fit: {row['why']}"
    clips = f"{row['clips']}" + (f" x {row['repeats']}" if row["repeats"] > 1 else "")
    split = f"{row['ranks']:4} {row['parts']:5} {clips:>8} {row['gib']:6.1f}"
    hours = f"{_hours(row['hours']):>8} {_hours(row['test_hours']):>7}"
    return f"{row['variant']:40} {split} {hours}{'  recomputes' if row['recompute'] else ''}"


def _hours(hours: float | None) -> str:
    return "unknown" if hours is None else f"{hours:.{1 if hours >= 1 else 2}f}"
