"""Write what figures show of a trained model: its classes beside CLIP's, attention, merged tokens.

By hand, from files that Snakemake wrote:
  python -m vidtune look --spec results/mini/specs/runs/tempme/tempme-b32@0.json --checkpoint
  results/mini/runs/tempme/tempme-b32@0/model.pt --out /tmp/look.npz
"""

import argparse
from pathlib import Path

from vidtune.cli.inputs import read_spec
from vidtune.spec import Run


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spec", required=True, help="the run's spec file")
    parser.add_argument("--checkpoint", required=True, help="the run's model.pt")
    parser.add_argument("--out", required=True, help="npz file to write")


def run(args: argparse.Namespace) -> None:
    spec = read_spec(Run, Path(args.spec))
    from vidtune.engine.look.look import write_look

    write_look(spec, Path(args.checkpoint), Path(args.out))
