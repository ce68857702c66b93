"""Predict the memory of training and inference at full size, without a GPU.

Of a variant; with --spec and --out, of a paper's printed memory rows.
"""

import argparse
from typing import Any, get_args

from vidtune.cli.inputs import add_costing, asked_model, count, print_result, run_job
from vidtune.spec import GIB, Attention, Model, Precision, Predicting, UserError, parse_size

PRECISIONS, ATTENTIONS = get_args(Precision), get_args(Attention)  # the first is the default


def arguments(parser: argparse.ArgumentParser) -> None:
    add_costing(parser)
    add = parser.add_argument
    add("--batch", type=count, metavar="N", help="videos of a batch (default: 32)")
    add("--frames", type=count, metavar="N", help="instead of the variant's")
    add("--precision", choices=PRECISIONS, default=PRECISIONS[0], help="default: %(default)s")
    add("--attention", choices=ATTENTIONS, default=ATTENTIONS[0],
        help="attention kernel (default: %(default)s)")  # fmt: skip
    add("--ours", action="store_true", help="our code, not the authors' released one")
    add("--fits", metavar="SIZE", help="predict at the largest batch that trains in SIZE (24GiB)")


def run(args: argparse.Namespace) -> None:
    if not (asked := asked_model(args)):
        return run_job(args, Predicting, "vidtune.cost.paper_costs:predict_paper", "kept")
    model, recipe = asked
    if args.frames is not None:
        model = model.model_copy(update={"frames": args.frames})
    result = _predict(args, model, recipe.checkpoint)
    print_result(args, result, format_memory(model, result))


def _predict(args: argparse.Namespace, model: Model, checkpoint: bool) -> dict[str, Any]:
    """`vidtune.cost.predict_memory.predict`; with --fits at the largest batch, which `fits` names."""
    from vidtune.cost import predict_memory as memory

    how = {"precision": args.precision, "attention": args.attention, "released": not args.ours}
    how["checkpoint"] = checkpoint
    if args.fits is None:
        return memory.predict(model, 32 if args.batch is None else args.batch, **how)
    if args.batch is not None:
        raise UserError("--fits: looks for the batch; drop --batch")
    limit = parse_size(args.fits)
    batch = memory.largest_batch(lambda n: memory.training_ledger(model, n, **how).peak, limit)
    fits = {"limit_gib": limit / GIB, "batch": batch}
    return {**(memory.predict(model, batch, **how) if batch else {}), "fits": fits}


def format_memory(model: Model, result: dict[str, Any]) -> str:
    lines = []
    if fits := result.get("fits"):
        batch = fits["batch"]
        most = f"a batch of {batch} trains" if batch else "not even one video trains"
        lines.append(f"{model.name}: {most} in {fits['limit_gib']:.2f} GiB")
    if "train" in result:
        lines.append(
            f"{model.name}: {model.backbone.name}, batch {result['batch']}, "
            f"{model.frames} frames, {result['convention']}; GiB"
        )
    for phase in ("train", "inference"):
        if part := result.get(phase):
            lines.append(f"  {phase:9} {part['peak_gib']:8.2f}   {_format_sizes(part['by_phase'])}")
            lines.append(f"  {'at peak':>9} {'':8}   {_format_sizes(part['by_kind'])}")
    return "\n".join(lines)


def _format_sizes(sizes: dict[str, float]) -> str:
    return ", ".join(f"{name} {size:.2f}" for name, size in sizes.items() if size > 0.005)
