"""Measure time, memory and energy of one variant on this machine.

It takes one GPU that no other vidtune job has, or the CPU where there is none.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidtune.cli.inputs import (
    add_plan_json,
    as_path,
    count,
    declared_models,
    print_result,
    read_plan,
    read_spec,
)
from vidtune.gpu import nvml
from vidtune.gpu.devices import visible
from vidtune.gpu.lease import lease
from vidtune.spec import Run, UserError, write_json
from vidtune.spec.read import check_target

# fp16: weights in float16, as CLIP's own code holds them
PRECISIONS = ("fp32", "amp16", "bf16", "fp16")


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("variant", nargs="?", help="<paper>/<variant>, at its declared size")
    add(
        "--spec",
        type=as_path,
        help="a run's spec file instead of a variant, at the size of its scale",
    )
    add("--out", type=as_path, help="JSON file to write as well as printing")
    add("--batch", type=count, default=8, help="videos a step (default: 8)")
    add("--frames", type=count, help="of a video (default: the variant's)")
    add("--precision", choices=PRECISIONS, help="default: the recipe's")
    add("--compile", action="store_true", help="through torch.compile")
    add("--attention", choices=("fused", "memory-efficient", "explicit"), default="fused")
    add("--steps", type=count, default=20, help="measured steps (default: 20)")
    add("--warmup", type=count, default=5, help="discarded steps before them (default: 5)")
    add("--device", choices=("cpu", "cuda"), help="default: cuda where there is a GPU")
    parts = ("train", "inference", "released", "loader")
    add("--only", nargs="+", choices=parts, default=parts, help="default: all of them")
    add(
        "--clips",
        type=as_path,
        default="data/bench",
        help="folder of the clips that the loader generates",
    )
    add("--even-if-busy", action="store_true", help="measure on a GPU in use; the row says so")
    add_plan_json(parser)


def run(args: argparse.Namespace) -> None:
    """Measure and write. Running out of memory is a result too."""
    if bool(args.variant) == bool(args.spec):
        raise UserError("name a variant (see `vidtune ls`), or give --spec")
    if args.spec:
        spec = read_spec(Run, Path(args.spec))
        model, recipe = spec.model, spec.recipe
    else:
        plan = read_plan(args)
        (model,) = declared_models(plan, [args.variant])
        recipe = plan.config.recipes[plan.variants[model.name].recipe]
    if args.out:
        check_target(Path(args.out))
    with _device(args) as (device, gpu):
        from vidtune.cost.measure import measure
        from vidtune.cost.measured_phases import BenchJob, measured_recipe

        job = BenchJob(
            model=model.model_copy(update={"frames": args.frames or model.frames}),
            recipe=measured_recipe(recipe, args.batch, args.precision),
            device=device,
            compile=args.compile,
            attention=args.attention,
            steps=args.steps,
            warmup=args.warmup,
            phases=tuple(args.only),
        )
        row = measure(job, Path(args.clips), gpu)
    if args.out:
        write_json(Path(args.out), row)
    print_result(args, row, format_bench(row))


@contextmanager
def _device(args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """Yield ("cpu", None), or ("cuda", facts of the GPU) while this job alone has the GPU."""
    if args.device == "cpu" or not (args.device or visible()):
        yield "cpu", None
        return
    with lease(busy=nvml.busy, refuse=False, timeout=0) as got:
        if not visible():
            raise UserError("--device cuda: no GPU on this machine; expected one, or --device cpu")
        uuid = got.device if got else visible()[0].uuid  # None: under an outer lease
        why = got.busy if got else nvml.busy(uuid)
        if why and not args.even_if_busy:
            raise UserError(
                f"GPU {uuid}: {why}; wait until it is idle, or measure it so with --even-if-busy"
            )
        import torch

        if not torch.cuda.is_available():
            raise UserError("--device cuda: this torch cannot use the GPU; install one with CUDA")
        yield "cuda", {**nvml.facts(uuid), "busy": why}


def format_bench(row: dict[str, Any]) -> str:
    c = row["conditions"]
    kernel = f"{c['attention']} attention{', compiled' if c['compile'] else ''}"
    under = f"batch {c['batch']}, {c['frames']} frames, {c['precision']}, {kernel}"
    lines = [
        f"{c['variant']} on {c['backbone']}: {row['status']}",
        f"  {c['device']}; {under}; random weights",
    ]
    for name in ("train", "inference", "released"):
        if phase := row.get(name):
            lines.append(f"  {name:10}" + _format_phase(phase))
    if loader := row.get("loader"):
        rate, workers = loader["videos_per_s"], loader["workers"]
        lines.append(f"  {'loader':10}{rate:9.2f} videos/s alone, {workers} workers")
    return "\n".join(lines)


def _format_phase(phase: dict[str, Any]) -> str:
    if phase["status"] == "oom":
        return f" out of memory at batch {phase['batch']}"
    ms = phase["ms"]
    split = ", ".join(f"{k} {ms[k]:.0f}" for k in ("forward", "backward", "optimizer") if k in ms)
    out = f"{phase['videos_per_s']:9.2f} videos/s, {ms['p50']:.0f} ms a step (p95 {ms['p95']:.0f}; {split})"
    for key, owner in (("peak_allocated_gib", "allocated"), ("peak_rss_gib", "of the process")):
        if phase[key] is not None:
            out += f", peak {phase[key]:.2f} GiB {owner}"
    if "end_to_end_videos_per_s" in phase:
        out += f", {phase['end_to_end_videos_per_s']:.2f} videos/s end to end"
    return out
