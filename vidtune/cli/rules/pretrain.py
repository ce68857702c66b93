"""Pre-train a small backbone."""

import argparse
from pathlib import Path

from vidtune.cli.inputs import add_job, read_spec
from vidtune.spec import Pretraining


def arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, "weights file")


def run(args: argparse.Namespace) -> int:
    from vidtune.engine.pretrain import pretrain

    pretrain(read_spec(Pretraining, args), Path(args.out))
    return 0
