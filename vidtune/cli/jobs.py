"""Verbs that do the work: one per rule. Each reads one spec file and writes through renames."""

import argparse
import json
from pathlib import Path

from vidtune.cli.ask import plan_of
from vidtune.plan import Plan
from vidtune.spec import (
    GeneratedSet,
    Premise,
    Pretraining,
    Run,
    UserError,
    load_json,
    parse,
    write_json,
    write_text,
)
from vidtune.spec.read import M


def _spec(kind: type[M], args: argparse.Namespace) -> M:
    return parse(kind, load_json(Path(args.spec)), Path(args.spec))


def generate(args: argparse.Namespace) -> int:
    from vidtune.motion import generate

    generate.generate(_spec(GeneratedSet, args), Path(args.out))
    return 0


def fetch(args: argparse.Namespace) -> int:
    """Bring released files into the cache; without names, say what the scale needs and has."""
    from vidtune.remote import cache
    from vidtune.remote.download import download

    p = plan_of(args)
    known = {f.name: f for f in map(cache.weights, p.config.backbones.values()) if f}
    known[cache.CLIP_BPE.name] = cache.CLIP_BPE
    for name in args.names:
        if name not in known:
            raise UserError(f"{name}: not a released file; known: {', '.join(known)}")
    for file in map(known.get, args.names):
        download(file.urls, file.path, file.sha256, file.bytes, file.name)
        print(file.path)
    if not args.names:
        _list(p)
    return 0


def _list(p: Plan) -> None:
    """What a plan's runs read from the cache, and what of it is there."""
    from vidtune.remote import cache

    files = cache.needed(*p.runs.values())
    print(f"scale {p.scale.name}: {len(files)} released files; cache {cache.folder()}")
    for f in files:
        state = "absent"
        if cache.file_exists(f.path):
            state = cache.describe_mismatch(f.path, f.sha256, f.bytes) or "there"
        print(f"  {f.name:10} {cache.format_size(f.bytes):>20}  {f.place}: {state}")


def pretrain(args: argparse.Namespace) -> int:
    from vidtune.engine.pretrain import pretrain

    pretrain(_spec(Pretraining, args), Path(args.out))
    return 0


def premise(args: argparse.Namespace) -> int:
    from vidtune.engine.premise import premise

    out = Path(args.out)
    write_json(out, premise(_spec(Premise, args), out.parent / "clip.pt"))
    return 0


def train(args: argparse.Namespace) -> int:
    from vidtune.engine.train import train

    train(_spec(Run, args), Path(args.out))
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """A run's own checkpoint beside --out; with --official, that of the method's authors."""
    if args.official:
        from vidtune.engine.official import evaluate_official

        result = evaluate_official(_declared_run(args), Path(args.official))
        if args.out:
            write_json(Path(args.out), result)
        else:
            print(json.dumps(result, indent=1))
        return 0
    if args.variant or not (args.spec and args.out):
        raise UserError("give --spec and --out, or a variant and --official CHECKPOINT")
    from vidtune.engine.evaluate import evaluate

    out = Path(args.out)
    write_json(out, evaluate(_spec(Run, args), out.parent / "model.pt"))
    return 0


def _declared_run(args: argparse.Namespace) -> Run:
    """The run of --spec, or the variant's first, at full scale unless --scale says otherwise."""
    if bool(args.variant) == bool(args.spec):
        raise UserError("--official: give a variant (see `vidtune ls`) or --spec, and not both")
    if args.spec:
        return _spec(Run, args)
    args.scale = args.scale or "full"
    runs = {run.model.name: run for run in reversed(plan_of(args).runs.values())}
    if args.variant not in runs:
        raise UserError(f"{args.variant}: not a variant that this scale trains; see `vidtune ls`")
    return runs[args.variant]


def collect(args: argparse.Namespace) -> int:
    from vidtune.report.numbers import results, rows

    p = plan_of(args)
    write_text(p.root / "rows.csv", rows.to_csv(results.gather(p)))
    return 0


def report(args: argparse.Namespace) -> int:
    from vidtune.report.page import page

    page.write(plan_of(args))
    return 0
