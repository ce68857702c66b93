"""`vidtune data <stage> [dataset ...]`: what a dataset goes through before training reads it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from vidtune.cli import status
from vidtune.cli.ask import plan_of
from vidtune.datasets import stage_state
from vidtune.datasets.stages import LOCK, SHARED, STAGES
from vidtune.plan import Plan
from vidtune.spec import Dataset, UserError, write_text


def fetch(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import fetch, lock

    fetch.run(dataset, root, lock.read(Path(p.config.folder), dataset.name))


def extract(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import extract

    extract.run(dataset, root)


def lock(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import lock

    for line in lock.run(dataset, root, Path(p.config.folder)):
        print(line)


def split(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import split

    facts = split.run(dataset, root)
    print(f"{dataset.name}: {', '.join(f'{n:,} {s}' for s, n in facts['clips'].items())}")


def index(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import index

    for name, c in index.run(dataset, root).items():
        print(f"{dataset.name}: {name}: {c['decodable']:,} of {c['expected']:,} clips")


def check(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import check

    for name, c in check.run(dataset, root).items():
        print(f"{dataset.name}: {name}: {c['decodable']:,} of {c['expected']:,} clips")


def resize(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import resize

    facts = resize.run(dataset, root)
    print(f"{dataset.name}: {facts['clips']:,} of {facts['of']:,} videos have a smaller copy")


def describe(p: Plan, dataset: Dataset, root: Path) -> None:
    from vidtune.datasets import describe

    describe.run(dataset, root)
    print(root / "describe" / "index.html")


RUN: dict[str, Callable[[Plan, Dataset, Path], None]] = {
    f.__name__: f for f in (fetch, extract, lock, split, index, check, resize, describe)
}


def arguments(sub: argparse.ArgumentParser, planned: Callable[..., object]) -> None:
    """The parser of the verb `data`."""
    stages = sub.add_subparsers(dest="stage", required=True, metavar="stage")
    for name, says in {**STAGES, **LOCK}.items():
        stage = stages.add_parser(name, help=says, description=says)
        stage.add_argument("datasets", nargs="+", metavar="dataset", help="as in datasets.yaml")
        stage.add_argument("--data", help="folder of all videos, instead of config.yaml's")
        stage.add_argument("--done", help="a file that is written at the end")
        planned(stage)
    says = "how far each dataset is, what is missing, and what to do"
    status.arguments(stages.add_parser("status", help=says, description=says), planned)


def data(args: argparse.Namespace) -> int:
    """One stage of each dataset; one that fails does not stop the others."""
    p = plan_of(args)
    failed, digests = 0, []
    for name in dict.fromkeys(_known(p, name) for name in args.datasets):
        try:
            dataset, root = _of(p, name, args.stage)
            RUN[args.stage](p, dataset, root)
            digests.append(stage_state.result(root, args.stage))
        except UserError as e:
            failed += 1
            for line in str(e).splitlines():
                print(f"vidtune data {args.stage}: {line}", file=sys.stderr)
    if not failed and args.done:
        write_text(Path(args.done), "\n".join(digests))  # the same again: nothing follows anew
    return 2 if failed else 0


def _known(p: Plan, name: str) -> str:
    real = [d.name for d in p.config.datasets.values() if not d.generated]
    if name in real:
        return name
    if name in p.config.datasets:
        raise UserError(f"{name}: generated, by `vidtune generate`; there is nothing to fetch")
    raise UserError(f"{name}: not a dataset; known: {', '.join(real)}")


def _of(p: Plan, name: str, stage: str) -> tuple[Dataset, Path]:
    """A dataset and its folder: another one's where it shares that one's files."""
    dataset = p.config.datasets[name]
    if dataset.shares and stage in SHARED:
        dataset = p.config.datasets[dataset.shares]
    return dataset, Path(p.config.settings.data) / dataset.name
