"""`vidtune data <stage> [dataset ...]`: what a dataset goes through before training reads it."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from vidtune.cli import status
from vidtune.cli.ask import plan_of
from vidtune.datasets import state
from vidtune.plan import Plan
from vidtune.spec import Dataset, UserError, write_text


def fetch(p: Plan, dataset: Dataset, root: Path) -> None:
    """download a dataset's files; what is gated gets an instruction"""
    from vidtune.datasets import fetch, lock

    fetch.run(dataset, root, lock.read(Path(p.config.folder), dataset.name))


def extract(p: Plan, dataset: Dataset, root: Path) -> None:
    """extract the archives that were fetched or brought"""
    from vidtune.datasets import extract

    extract.run(dataset, root)


def lock(p: Plan, dataset: Dataset, root: Path) -> None:
    """note the hashes of the files that were fetched and extracted"""
    from vidtune.datasets import lock

    for line in lock.run(dataset, root, Path(p.config.folder)):
        print(line)


def split(p: Plan, dataset: Dataset, root: Path) -> None:
    """read the official lists: which clips each split has"""
    from vidtune.datasets import split

    facts = split.run(dataset, root)
    print(f"{dataset.name}: {', '.join(f'{n:,} {s}' for s, n in facts['clips'].items())}")


def index(p: Plan, dataset: Dataset, root: Path) -> None:
    """find and probe every listed video; write the lists that training reads"""
    from vidtune.datasets import index

    for name, c in index.run(dataset, root).items():
        print(f"{dataset.name}: {name}: {c['decodable']:,} of {c['expected']:,} clips")


def check(p: Plan, dataset: Dataset, root: Path) -> None:
    """decode every clip; what cannot be is quarantined with its reason"""
    from vidtune.datasets import check

    for name, c in check.run(dataset, root).items():
        print(f"{dataset.name}: {name}: {c['decodable']:,} of {c['expected']:,} clips")


def resize(p: Plan, dataset: Dataset, root: Path) -> None:
    """make smaller copies of the videos, which are read in their place (optional)"""
    from vidtune.datasets import resize

    facts = resize.run(dataset, root)
    print(f"{dataset.name}: {facts['clips']:,} of {facts['of']:,} videos have a smaller copy")


def describe(p: Plan, dataset: Dataset, root: Path) -> None:
    """a page and a table of what is there, with a contact sheet"""
    from vidtune.datasets import describe

    describe.run(dataset, root)
    print(root / "describe" / "index.html")


# Each is a module of vidtune/data; all but `lock` are rules of workflow/rules/data.smk too.
STAGES: dict[str, Callable[[Plan, Dataset, Path], None]] = {
    "fetch": fetch,
    "extract": extract,
    "lock": lock,
    "split": split,
    "index": index,
    "check": check,
    "resize": resize,
    "describe": describe,
}
OF_FILES = ("fetch", "extract", "lock")  # done once for datasets that share their files


def arguments(sub: argparse.ArgumentParser, planned: Callable[..., object]) -> None:
    """The parser of the verb `data`."""
    stages = sub.add_subparsers(dest="stage", required=True, metavar="stage")
    for name, function in STAGES.items():
        stage = stages.add_parser(name, help=function.__doc__, description=function.__doc__)
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
            STAGES[args.stage](p, dataset, root)
            digests.append(state.result(root, args.stage))
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
    if dataset.shares and stage in OF_FILES:
        dataset = p.config.datasets[dataset.shares]
    return dataset, Path(p.config.settings.data) / dataset.name
