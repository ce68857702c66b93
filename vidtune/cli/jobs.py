"""Verbs that do the work: one per rule. Each reads one spec file and writes through renames."""

import argparse
from pathlib import Path

from vidtune.cli.ask import plan_of
from vidtune.spec import Files, Premise, Pretraining, Run, load_json, parse, write_json, write_text
from vidtune.spec.read import M


def _spec(kind: type[M], args: argparse.Namespace) -> M:
    return parse(kind, load_json(Path(args.spec)), Path(args.spec))


def generate(args: argparse.Namespace) -> int:
    from vidtune.data import motion

    motion.generate(_spec(Files, args), Path(args.out))
    return 0


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
    from vidtune.engine.evaluate import evaluate

    out = Path(args.out)
    write_json(out, evaluate(_spec(Run, args), out.parent / "model.pt"))
    return 0


def collect(args: argparse.Namespace) -> int:
    from vidtune.report import rows

    p = plan_of(args)
    write_text(p.root / "rows.csv", rows.to_csv(rows.gather(p)))
    return 0


def report(args: argparse.Namespace) -> int:
    from vidtune.report import page

    page.write(plan_of(args))
    return 0
