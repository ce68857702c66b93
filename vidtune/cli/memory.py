"""`vidtune cost --memory`: what training and inference need, without a GPU."""

import argparse
import json
from pathlib import Path
from typing import Any, get_args

from vidtune.cli.ask import chosen, plan_of
from vidtune.spec import Model, UserError, load_json, parse, write_json
from vidtune.spec.memory import Attention, Precision, Predicting

OPTIONS = ("batch", "frames", "precision", "attention", "ours", "fits")
PRECISIONS, ATTENTIONS = get_args(Precision), get_args(Attention)  # the first is the default


def arguments(cost: argparse.ArgumentParser) -> None:
    """What `cost` takes with --memory."""
    add = cost.add_argument
    add("--memory", action="store_true", help="predicted memory of training and inference")
    add("--batch", type=int, metavar="N", help="with --memory: videos of a batch (default: 32)")
    add("--frames", type=int, metavar="N", help="with --memory: instead of the variant's")
    add("--precision", choices=PRECISIONS, help="with --memory (default: amp16)")
    add("--attention", choices=ATTENTIONS, help="with --memory: the kernel (default: explicit)")
    add("--ours", action="store_true", help="with --memory: our code, not the released one")
    add("--fits", metavar="SIZE", help="with --memory: the largest batch to train in SIZE (24GiB)")


def asked(args: argparse.Namespace) -> bool:
    """Whether `cost` is to predict memory. Raises `UserError` for its options without --memory."""
    given = [name for name in OPTIONS if getattr(args, name) not in (None, False)]
    if given and not args.memory:
        raise UserError(f"--{given[0]}: expected with --memory; add it")
    return args.memory


def cost(args: argparse.Namespace) -> int:
    """Of a variant; with --spec, of a paper's rows in config/memory.yaml."""
    if bool(args.variant) == bool(args.spec) or bool(args.spec) != bool(args.out):
        raise UserError("--memory: name a variant (see `vidtune ls`), or give --spec and --out")
    if args.spec:
        return _table(Path(args.spec), Path(args.out))
    (model,) = chosen(plan_of(args), [args.variant])
    if args.frames is not None:
        if args.frames < 1:
            raise UserError(f"--frames: expected at least 1; found {args.frames}")
        model = model.model_copy(update={"frames": args.frames})
    result = _predicted(args, model)
    print(json.dumps(result, indent=1) if args.json else _told(model, result))
    return 0


def _table(spec: Path, out: Path) -> int:
    from vidtune.cost.memory_table import predict_paper

    job = parse(Predicting, load_json(spec), spec)
    write_json(out, predict_paper(job, out.parent / "kept" / job.paper))
    return 0


def _predicted(args: argparse.Namespace, model: Model) -> dict[str, Any]:
    """`vidtune.cost.predict_memory.predict`; with --fits at the largest batch, named in `fits`."""
    from vidtune.cost import predict_memory

    how = {
        "precision": args.precision or PRECISIONS[0],
        "attention": args.attention or ATTENTIONS[0],
        "released": not args.ours,
    }
    if args.fits is None:
        return predict_memory.predict(model, 32 if args.batch is None else args.batch, **how)
    if args.batch is not None:
        raise UserError("--fits: looks for the batch; drop --batch")
    limit = predict_memory.parse_size(args.fits)
    batch = predict_memory.largest_batch(
        lambda n: predict_memory.training_ledger(model, n, **how).peak, limit
    )
    fits = {"limit_gib": limit / predict_memory.GIB, "batch": batch}
    return {**(predict_memory.predict(model, batch, **how) if batch else {}), "fits": fits}


def _told(model: Model, result: dict[str, Any]) -> str:
    """For a reader."""
    lines = []
    if fits := result.get("fits"):
        most = (
            f"a batch of {fits['batch']} trains" if fits["batch"] else "not even one video trains"
        )
        lines.append(f"{model.name}: {most} in {fits['limit_gib']:.2f} GiB")
    if "train" in result:
        lines.append(
            f"{model.name}: {model.backbone.name}, batch {result['batch']}, "
            f"{model.frames} frames, {result['convention']}; GiB"
        )
    for what in ("train", "inference"):
        if part := result.get(what):
            lines.append(f"  {what:9} {part['peak_gib']:8.2f}   {_parts(part['by_phase'])}")
            lines.append(f"  {'at peak':>9} {'':8}   {_parts(part['by_kind'])}")
    return "\n".join(lines)


def _parts(sizes: dict[str, float]) -> str:
    return ", ".join(f"{name} {size:.2f}" for name, size in sizes.items() if size > 0.005)
