"""Write the generated videos."""

import argparse
from pathlib import Path

from vidtune.cli.inputs import add_job, read_spec
from vidtune.spec import GeneratedSet


def arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, "folder of the videos")


def run(args: argparse.Namespace) -> int:
    from vidtune.motion.generate import generate

    generate(read_spec(GeneratedSet, args), Path(args.out))
    return 0
