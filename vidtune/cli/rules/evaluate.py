"""Evaluate one run, or a released checkpoint.

With --spec and --out: the run's own checkpoint, --checkpoint or model.pt in the folder of --out.
Told to stop, or killed, it goes on when started again, from eval.partial beside --out.
With --official: the checkpoint of the method's authors, for a variant or a spec.
"""

import argparse
import json
from pathlib import Path

from vidtune.cli.inputs import add_plan, as_path, read_plan, read_spec
from vidtune.cli.launch import add_ranks, run_on_ranks, starts_ranks
from vidtune.plan.names import find_variant
from vidtune.spec import Run, UserError, write_json
from vidtune.spec.read import check_target


def arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(parser)
    parser.add_argument("variant", nargs="?", help="with --official: <paper>/<variant> it is of")
    parser.add_argument("--spec", type=as_path, help="the job's spec file")
    parser.add_argument(
        "--out", type=as_path, help="JSON file to write (with --official, default: print)"
    )
    parser.add_argument(
        "--checkpoint", type=as_path, help="of the run (default: model.pt beside --out)"
    )
    parser.add_argument("--official", type=as_path, help="checkpoint of the method's authors")
    add_ranks(parser)


def run(args: argparse.Namespace) -> int | None:
    if not args.official and (args.variant or not (args.spec and args.out)):
        raise UserError("give --spec and --out, or a variant and --official CHECKPOINT")
    if starts_ranks(args):
        return run_on_ranks(args)
    if not args.official:
        return _evaluate_run(args)
    if args.checkpoint:
        raise UserError("give --checkpoint or --official, not both")
    from vidtune.engine import ranks
    from vidtune.engine.evaluate_official import evaluate_official

    if args.out:
        check_target(Path(args.out))
    result = evaluate_official(_declared_run(args), Path(args.official))
    if args.out and result:
        write_json(Path(args.out), result)
    elif result:
        print(json.dumps(result, indent=1))
    ranks.end()
    return None


def _evaluate_run(args: argparse.Namespace) -> None:
    from vidtune.data.batches import Batches
    from vidtune.datasets.node_copy import staged
    from vidtune.engine import ranks
    from vidtune.engine.evaluate import write_evaluation

    out = Path(args.out)
    checkpoint = Path(args.checkpoint) if args.checkpoint else out.with_name("model.pt")
    write_evaluation(read_spec(Run, Path(args.spec)), checkpoint, out, staged(Batches))
    ranks.end()


def _declared_run(args: argparse.Namespace) -> Run:
    """The run of --spec, or the variant's first, at full scale unless --scale says otherwise."""
    if bool(args.variant) == bool(args.spec):
        raise UserError("--official: give a variant (see `vidtune ls`) or --spec, and not both")
    if args.spec:
        return read_spec(Run, Path(args.spec))
    args.scale = args.scale or "full"
    plan = read_plan(args)
    runs = {run.model.name: run for run in reversed(plan.runs.values())}
    if (name := find_variant(plan, args.variant)) not in runs:
        raise UserError(f"{name}: not a variant that this scale trains; see `vidtune ls`")
    return runs[name]
