"""Write the JSON schemas of the config files, for editors."""

import argparse
import json
from pathlib import Path

from vidtune.cli.inputs import as_path
from vidtune.plan import schemas
from vidtune.spec import write_text


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out", type=as_path, default="config/schema", help="folder (default: config/schema)"
    )


def run(args: argparse.Namespace) -> None:
    for name, content in schemas().items():
        write_text(Path(args.out) / f"{name}.schema.json", json.dumps(content, indent=1) + "\n")
