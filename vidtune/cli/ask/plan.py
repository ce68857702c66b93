"""List the jobs of each rule with an estimate of time, disk and downloads; with --gpus, how each run fits.

`--gpus 8x80GiB` says for every variant that the scale trains over how many GPUs and in how many parts a
batch is split, the predicted memory of each GPU and about how long training and test take, or why it does
not fit. Predictions are kept in the results; only what has changed is predicted anew.
"""

import argparse
import math
from typing import Any

from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.cost import fits
from vidtune.spec import GIB, UserError, parse_gpus
from vidtune.workflow import estimate, format_estimate


def arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_json(parser)
    parser.add_argument("--gpus", help="of one training: their number and size, as 8x80GiB")
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
    if args.gpus is None:
        return print_result(args, estimate(plan), format_estimate(plan))
    gpus, size = parse_gpus(args.gpus)
    if not all(0 < speed < math.inf for speed in args.tflops):
        raise UserError("--tflops: expected two numbers above 0")
    if missing := fits.missing(plan):
        from vidtune.cost import predict_step

        predict_step.keep(missing)
    speed = fits.Speed(*args.tflops)
    rows = fits.table(plan, gpus, size / GIB, speed)
    result = {
        "scale": plan.scale.name,
        "gpus": gpus,
        "gib": size / GIB,
        **speed._asdict(),
        "rows": rows,
    }
    print_result(args, result, format_fits(result))


def format_fits(result: dict[str, Any]) -> str:
    """The rows of `vidtune.cost.fits.table` as text, with what they mean."""
    rows = result["rows"]
    head = f"{'variant':40} {'GPUs':>4} {'parts':>5} {'clips':>8} {'GiB':>6} {'train h':>8} {'test h':>7}"
    fit = sum("why" not in row for row in rows)
    return "\n".join(
        [
            head,
            *map(_format_row, rows),
            f"scale {result['scale']}: {fit} of {len(rows)} variants fit {result['gpus']} x "
            f"{result['gib']:g} GiB. Nothing is measured: GiB are predicted for one GPU, of which "
            f"{fits.MARGIN:g} are left to CUDA; hours are operations at {result['half']:g} TFLOP/s a GPU "
            f"in half precision and {result['single']:g} in float32, without decoding.",
        ]
    )


def _format_row(row: dict[str, Any]) -> str:
    if "why" in row:
        return f"{row['variant']:40} does not fit: {row['why']}"
    clips = f"{row['clips']}" + (f" x {row['repeats']}" if row["repeats"] > 1 else "")
    split = f"{row['ranks']:4} {row['parts']:5} {clips:>8} {row['gib']:6.1f}"
    return f"{row['variant']:40} {split} {_hours(row['hours']):>8} {_hours(row['test_hours']):>7}"


def _hours(hours: float | None) -> str:
    return "unknown" if hours is None else f"{hours:.{1 if hours >= 1 else 2}f}"
