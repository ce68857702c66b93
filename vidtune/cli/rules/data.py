"""Prepare real videos: one stage of each dataset, or `status` of all."""

import argparse
import re
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from vidtune.cli.inputs import (
    add_plan,
    add_plan_json,
    as_path,
    print_result,
    read_plan,
    read_settings,
)
from vidtune.datasets import lock, stage_state
from vidtune.datasets.shards import Shard
from vidtune.datasets.stages import LOCK, SCATTERED, SHARED, STAGES
from vidtune.plan import Config, Plan
from vidtune.spec import Dataset, UserError, write_text
from vidtune.spec.errors import printable, system_errors_explained

STATUS = "list how far each dataset is, the files it lacks, and the commands that come next"


def arguments(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_subparsers(dest="stage", required=True, metavar="stage")
    for name, description in {**STAGES, **LOCK, "status": STATUS}.items():
        stage = stages.add_parser(name, help=description, description=description)
        if name == "status":
            add_plan_json(stage)
            stage.add_argument("datasets", nargs="*", metavar="dataset", help="none: all")
        else:
            add_plan(stage)
            stage.add_argument("datasets", nargs="+", metavar="dataset", help="as in datasets.yaml")
            stage.add_argument("--done", type=as_path, help="a file that is written at the end")
        if name in SCATTERED:
            stage.add_argument(
                "--shard",
                type=_shard,
                metavar="K/N",
                help="the K-th of N parts of it alone, which N processes do beside each other; then the "
                "command without it gathers them",
            )


def _shard(text: str) -> Shard:
    found = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, of = map(int, found.groups()) if found else (0, 0)
    if not 0 < number <= of:
        raise argparse.ArgumentTypeError(
            f"expected a part of how many, such as 2/8; found {text[:40]!r}"
        )
    return Shard(number, of)


def run(args: argparse.Namespace) -> int:
    """Run one stage of each dataset; one that fails does not stop the others."""
    if args.stage == "status":
        return _status(read_plan(args), args)
    config = read_settings(args)
    failed, hashes = 0, []
    for name in dict.fromkeys(_check_real(config, name) for name in args.datasets):
        try:
            dataset = config.datasets[name]
            if dataset.shares and args.stage in SHARED:
                dataset = config.datasets[dataset.shares]
            root = Path(config.settings.data) / dataset.name
            with system_errors_explained():
                lines, made = _run_stage(args, dataset, root, Path(config.folder))
                for line in lines:
                    print(line)
                hashes.append(made)
        except UserError as e:
            failed += 1
            for line in str(e).split("\n"):
                print(f"vidtune data {args.stage}: {printable(line)}", file=sys.stderr)
    if not failed and args.done:
        write_text(Path(args.done), "\n".join(hashes))  # equal text: nothing is run again
    return 2 if failed else 0


def _run_stage(
    args: argparse.Namespace, dataset: Dataset, root: Path, config: Path
) -> tuple[list[str], str]:
    """Run the stage's module of `vidtune.datasets`, or a shard of it; return the lines of its summary and
    the hash of what it has made."""
    stage = args.stage
    module: Any = import_module(f"vidtune.datasets.{stage}")
    if shard := getattr(args, "shard", None):
        made = module.run_shard(dataset, root, shard)
        return [f"{root.name}: {stage}: shard {shard} is done"], made
    if stage == "lock":
        made = lock.run(dataset, root, config)
    elif stage == "fetch":
        made = module.run(dataset, root, lock.locked_files(config, dataset.name))
    else:
        made = module.run(dataset, root)
    lines = [f"{root.name}: {stage}: done"] if made is None else module.summary(root, made)
    return lines, stage_state.result_hash(root, stage)


def _check_real(config: Config, name: str) -> str:
    real = [d.name for d in config.datasets.values() if not d.generated]
    if name in config.datasets and name not in real:
        raise UserError(f"{name}: generated, by `vidtune generate`; it has nothing to fetch")
    return _check(name, real)


def _check(name: str, known: list[str]) -> str:
    if name not in known:
        raise UserError(f"{name}: not a dataset; known: {', '.join(known)}")
    return name


def _status(plan: Plan, args: argparse.Namespace) -> int:
    """List real datasets, and the generated videos of the scale at hand. Reads no video."""
    from vidtune.datasets import overview

    data = Path(plan.config.settings.data)
    real = {d.name: d for d in plan.config.datasets.values() if not d.generated}
    generated = plan.generated or plan.config.generated
    known = [*real, *generated]
    states = [
        overview.overview(real[name], data / name)
        if name in real
        else overview.generated(name, data / name, dict(generated[name].clips))
        for name in [_check(name, known) for name in args.datasets] or known
    ]
    print_result(args, [asdict(s) for s in states], "\n".join(overview.format_table(states)))
    return 0
