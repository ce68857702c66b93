"""`vidtune data status [dataset ...]`: how far each dataset is, and what comes next."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from vidtune.cli.ask import plan_of
from vidtune.spec import UserError


def arguments(sub: argparse.ArgumentParser, planned: Callable[..., object]) -> None:
    sub.add_argument("datasets", nargs="*", metavar="dataset", help="none: all")
    sub.add_argument("--data", help="folder of all videos, instead of config.yaml's")
    sub.add_argument("--json", action="store_true", help="print JSON")
    sub.set_defaults(run=status)
    planned(sub)


def status(args: argparse.Namespace) -> int:
    """Real datasets, and the generated videos of the scale at hand. Reads no video."""
    from vidtune.datasets import overview

    p = plan_of(args)
    data = Path(p.config.settings.data)
    real = {d.name: d for d in p.config.datasets.values() if not d.generated}
    made = p.generated or p.config.generated
    for name in args.datasets:
        if name not in real and name not in made:
            raise UserError(f"{name}: not a dataset; known: {', '.join([*real, *made])}")
    wanted = args.datasets or [*real, *made]
    found = [
        overview.overview(real[name], data / name)
        if name in real
        else overview.generated(name, data / name, dict(made[name].clips))
        for name in wanted
    ]
    if args.json:
        print(json.dumps([asdict(s) for s in found], indent=1))
    else:
        print("\n".join(overview.format_table(found)))
    return 0
