"""Prepare real videos: one stage of each dataset, or `status` of all."""

import argparse
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from vidtune.cli.inputs import add_json, add_plan, print_result, read_plan
from vidtune.datasets import stage_state
from vidtune.datasets.stages import LOCK, SHARED, STAGES
from vidtune.plan import Plan
from vidtune.spec import Dataset, UserError, write_text

STATUS = "list how far each dataset is, the files it lacks, and the commands that come next"


def arguments(parser: argparse.ArgumentParser) -> None:
    stages = parser.add_subparsers(dest="stage", required=True, metavar="stage")
    for name, help_text in {**STAGES, **LOCK, "status": STATUS}.items():
        stage = stages.add_parser(name, help=help_text, description=help_text)
        stage.add_argument("--data", help="folder of all videos, instead of config.yaml's")
        add_plan(stage)
        if name == "status":
            stage.add_argument("datasets", nargs="*", metavar="dataset", help="none: all")
            add_json(stage)
        else:
            stage.add_argument("datasets", nargs="+", metavar="dataset", help="as in datasets.yaml")
            stage.add_argument("--done", help="a file that is written at the end")


def run(args: argparse.Namespace) -> int:
    """One stage of each dataset; one that fails does not stop the others."""
    plan = read_plan(args)
    if args.stage == "status":
        return _status(plan, args)
    failed, digests = 0, []
    for name in dict.fromkeys(_known(plan, name) for name in args.datasets):
        try:
            dataset, root = _of(plan, name, args.stage)
            for line in _run_stage(args.stage, dataset, root, Path(plan.config.folder)):
                print(line)
            digests.append(stage_state.result_digest(root, args.stage))
        except UserError as e:
            failed += 1
            for line in str(e).splitlines():
                print(f"vidtune data {args.stage}: {line}", file=sys.stderr)
    if not failed and args.done:
        write_text(Path(args.done), "\n".join(digests))  # equal text: nothing is run again
    return 2 if failed else 0


def _run_stage(stage: str, dataset: Dataset, root: Path, config: Path) -> list[str]:
    """Run the stage's module of `vidtune.datasets`; lines that say what it made."""
    module = import_module(f"vidtune.datasets.{stage}")
    if stage == "fetch":
        from vidtune.datasets import lock

        module.run(dataset, root, lock.locked_files(config, dataset.name))
    elif stage == "lock":
        return list(module.run(dataset, root, config))
    else:
        facts = module.run(dataset, root)
    if stage == "split":
        clips = ", ".join(f"{n:,} {split}" for split, n in facts["clips"].items())
        return [f"{dataset.name}: {clips}"]
    if stage in ("index", "check"):
        return [
            f"{dataset.name}: {split}: {c['decodable']:,} of {c['expected']:,} clips"
            for split, c in facts.items()
        ]
    if stage == "resize":
        copies = f"{facts['clips']:,} of {facts['of']:,} videos have a smaller copy"
        return [f"{dataset.name}: {copies}"]
    return [str(root / "describe" / "index.html")] if stage == "describe" else []


def _known(plan: Plan, name: str) -> str:
    real = [d.name for d in plan.config.datasets.values() if not d.generated]
    if name in real:
        return name
    if name in plan.config.datasets:
        raise UserError(f"{name}: generated, by `vidtune generate`; there is nothing to fetch")
    raise UserError(f"{name}: not a dataset; known: {', '.join(real)}")


def _of(plan: Plan, name: str, stage: str) -> tuple[Dataset, Path]:
    """A dataset and its folder: the owner's where it shares the files of another."""
    dataset = plan.config.datasets[name]
    if dataset.shares and stage in SHARED:
        dataset = plan.config.datasets[dataset.shares]
    return dataset, Path(plan.config.settings.data) / dataset.name


def _status(plan: Plan, args: argparse.Namespace) -> int:
    """Real datasets, and the generated videos of the scale at hand. Reads no video."""
    from vidtune.datasets import overview

    data = Path(plan.config.settings.data)
    real = {d.name: d for d in plan.config.datasets.values() if not d.generated}
    generated = plan.generated or plan.config.generated
    for name in args.datasets:
        if name not in real and name not in generated:
            raise UserError(f"{name}: not a dataset; known: {', '.join([*real, *generated])}")
    states = [
        overview.overview(real[name], data / name)
        if name in real
        else overview.generated(name, data / name, dict(generated[name].clips))
        for name in args.datasets or [*real, *generated]
    ]
    print_result(args, [asdict(s) for s in states], "\n".join(overview.format_table(states)))
    return 0
