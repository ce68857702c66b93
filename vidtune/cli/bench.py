"""`vidtune bench`: measure one variant here, on this machine's GPU or CPU."""

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtune.cli.ask import plan_of
from vidtune.spec import Model, Recipe, Run, UserError, load_json, parse, write_json
from vidtune.spec.suggest import unknown

if TYPE_CHECKING:
    from vidtune.cost.measured_phases import BenchJob


def arguments(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
    add = sub.add_argument
    add("variant", nargs="?", help="<paper>/<variant>, at its declared size")
    add("--spec", help="a run's spec file instead of a variant, at the size of its scale")
    add("--out", help="JSON file to write (default: tell)")
    add("--batch", type=_count, default=8, help="videos a step (default: 8)")
    add("--frames", type=_count, help="of a video (default: the variant's)")
    add("--precision", choices=("fp32", "amp16", "bf16"), help="default: the recipe's")
    add("--compile", action="store_true", help="through torch.compile")
    add("--attention", choices=("fused", "memory-efficient", "explicit"), default="fused")
    add("--steps", type=_count, default=20, help="measured ones (default: 20)")
    add("--warmup", type=_count, default=5, help="steps before, discarded (default: 5)")
    add("--device", choices=("cpu", "cuda"), help="default: cuda where there is a GPU")
    parts = ("train", "inference", "loader")
    add("--only", nargs="+", choices=parts, default=parts, help="default: all three")
    add("--clips", default="data/bench", help="folder of the clips that the loader generates")
    add("--even-if-busy", action="store_true", help="measure on a GPU in use; the row says so")
    return sub


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number above 0; found {text!r}")
    return int(text)


def bench(args: argparse.Namespace) -> int:
    """Measure and write. Running out of memory is a result too."""
    if bool(args.variant) == bool(args.spec):
        raise UserError("name a variant (see `vidtune ls`), or give --spec")
    model, recipe = _declared(args) if args.variant else _swapped(Path(args.spec))
    with _device(args) as (device, gpu):
        from vidtune.cost.measure import measure

        row = measure(_job(args, model, recipe, device), Path(args.clips), gpu)
    if args.out:
        write_json(Path(args.out), row)
    print(json.dumps(row, indent=1) if args.json else _told(row))
    return 0


def _declared(args: argparse.Namespace) -> tuple[Model, Recipe]:
    p = plan_of(args)
    if args.variant not in p.models:
        raise unknown("variant", args.variant, p.models)
    recipe = p.config.recipes[p.variants[args.variant].recipe]
    return p.models[args.variant], recipe


def _swapped(spec: Path) -> tuple[Model, Recipe]:
    run = parse(Run, load_json(spec), spec)
    return run.model, run.recipe


def _job(args: argparse.Namespace, model: Model, recipe: Recipe, device: str) -> "BenchJob":
    """What was asked for, in place of what is declared."""
    from vidtune.cost.measured_phases import BenchJob

    under = {"batch": args.batch, "source": None}
    if args.precision:
        under["precision"] = args.precision
    return BenchJob(
        model=model.model_copy(update={"frames": args.frames or model.frames}),
        recipe=recipe.model_copy(update=under),
        device=device,
        compile=args.compile,
        attention=args.attention,
        steps=args.steps,
        warmup=args.warmup,
        phases=tuple(args.only),
    )


@contextmanager
def _device(args: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any] | None]]:
    """("cpu", None), or ("cuda", what the GPU is and is busy with) while this job alone has it."""
    from vidtune.gpu import idle, nvml
    from vidtune.gpu.devices import visible
    from vidtune.gpu.lease import lease

    if args.device == "cpu" or not (args.device or visible()):
        yield "cpu", None
        return
    with lease(busy=idle.busy, refuse=False, timeout=0) as got:
        if not visible():
            raise UserError("--device cuda: no GPU here; expected one, or --device cpu")
        uuid = got.device if got else visible()[0].uuid  # None: under an outer lease
        why = got.busy if got else idle.busy(uuid)
        if why and not args.even_if_busy:
            raise UserError(
                f"GPU {uuid}: {why}; wait until it is idle, or measure it so with --even-if-busy"
            )
        import torch

        if not torch.cuda.is_available():
            raise UserError("--device cuda: this torch cannot use the GPU; install one with CUDA")
        yield "cuda", {**nvml.facts(uuid), "busy": why}


def _told(row: dict[str, Any]) -> str:
    """A row for a reader."""
    c = row["conditions"]
    asked = (
        f"batch {c['batch']}, {c['frames']} frames, {c['precision']}, {c['attention']} attention"
    )
    lines = [
        f"{c['variant']} on {c['backbone']}: {row['status']}",
        f"  {c['device']}; {asked}{', compiled' if c['compile'] else ''}; random weights",
    ]
    for name in ("train", "inference"):
        phase = row.get(name)
        if phase:
            lines.append(f"  {name:10}" + _phase(phase))
    if "loader" in row:
        loader = row["loader"]
        rate, workers = loader["videos_per_s"], loader["workers"]
        lines.append(f"  {'loader':10}{rate:9.2f} videos/s alone, {workers} workers")
    return "\n".join(lines)


def _phase(phase: dict[str, Any]) -> str:
    if phase["status"] == "oom":
        return f" out of memory at batch {phase['batch']}"
    ms = phase["ms"]
    split = ", ".join(f"{k} {ms[k]:.0f}" for k in ("forward", "backward", "optimizer") if k in ms)
    out = f"{phase['videos_per_s']:9.2f} videos/s, {ms['p50']:.0f} ms a step (p95 {ms['p95']:.0f}; {split})"
    for key, what in (("peak_allocated_gib", "allocated"), ("peak_rss_gib", "of the process")):
        if phase[key] is not None:
            out += f", peak {phase[key]:.2f} GiB {what}"
    if "end_to_end_videos_per_s" in phase:
        out += f", {phase['end_to_end_videos_per_s']:.2f} videos/s end to end"
    return out
