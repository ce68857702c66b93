"""Check what the pre-trained backbone can and cannot see.

The weights, clip.pt, are read from the folder of --out.
"""

import argparse
from pathlib import Path

from vidtune.cli.inputs import add_job, read_spec
from vidtune.spec import Premise, write_json


def arguments(parser: argparse.ArgumentParser) -> None:
    add_job(parser, "JSON file")


def run(args: argparse.Namespace) -> int:
    from vidtune.engine.premise import premise

    out = Path(args.out)
    write_json(out, premise(read_spec(Premise, args), out.parent / "clip.pt"))
    return 0
