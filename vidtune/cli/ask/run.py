"""Train and test what one table, or one variant, needs: Snakemake with the runs of that alone.

  vidtune run tempme/table8 --scale mini --cores 4 -n
What is not listed below is handed to Snakemake as it stands. Without --cores or a profile it uses all
cores.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from vidtune.cli.inputs import as_name, as_path
from vidtune.cost import fits
from vidtune.datasets.readiness import readiness_by_name
from vidtune.plan import Plan, load
from vidtune.plan.names import find_table, find_variant
from vidtune.spec import UserError, slug
from vidtune.spec.yaml_files import read_value

PASSES_ON = True  # arguments that it does not know; `main` puts them into args.rest
CORES = ("-c", "--cores", "-j", "--jobs", "--profile", "--executor", "-e")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", nargs="+", help="<paper>/<table> as in tempme/table8, or a variant"
    )
    parser.add_argument("--scale", type=as_name, help="instead of the one in config.yaml")
    parser.add_argument("--results", type=as_path, help="instead of the one in config.yaml")
    parser.add_argument("--papers", type=as_name, nargs="+", help="instead of those in config.yaml")
    parser.add_argument(
        "--config",
        dest="settings",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="as Snakemake's",
    )
    parser.set_defaults(config="config")


def run(args: argparse.Namespace) -> None:
    if not Path("Snakefile").is_file():
        raise UserError(
            "Snakefile: no such file here; expected to be run in the repository's folder"
        )
    given = [f"{k}={v}" for k, v in (("scale", args.scale), ("results", args.results)) if v]
    given += [f"papers=[{', '.join(args.papers)}]"] if args.papers else []
    settings = [*given, *args.settings]
    plan = load(args.config, _read(settings))
    targets = list(dict.fromkeys(t for name in args.target for t in _targets(plan, name)))
    passed = [word for word in args.rest if word != "--"]
    command = ["snakemake", *passed]
    profiled = os.environ.get("SNAKEMAKE_PROFILE")  # which Snakemake reads
    if not (profiled or any(word.startswith(CORES) for word in passed)):
        command += ["--cores", "all"]
    command += ["--config", *settings] if settings else []
    command += ["--", *targets]
    print(
        f"vidtune run: {len(targets)} runs of {', '.join(args.target)} at scale {plan.scale.name}",
        file=sys.stderr,
    )
    os.execv(sys.executable, [sys.executable, "-m", *command])


def _read(given: list[str]) -> dict[str, Any]:
    """Snakemake's KEY=VALUE, read as it reads them."""
    pairs = [word.partition("=") for word in given]
    return {k: read_value(value, f"--config {k}") for k, _, value in pairs}


def _targets(plan: Plan, name: str) -> list[str]:
    """The results of the runs of a table or a variant, each once. Raises `UserError` if there are none."""
    variants = _variants(plan, name)
    runs = [run for run in plan.runs.values() if run.model.name in variants]
    if not runs:
        raise UserError(
            f"{name}: scale {plan.scale.name} trains none of its rows; see `vidtune ls --scale "
            f"{plan.scale.name}`, or choose another by --scale"
        )
    at = readiness_by_name(plan)
    lacking = {run.dataset.name for run in runs if at[run.dataset.name] == "absent"}
    ready = [run for run in runs if run.dataset.name not in lacking]
    if lacking:
        said = f"no videos of {', '.join(sorted(lacking))}; see `vidtune data status`"
        if not ready:
            raise UserError(f"{name}: {said}")
        print(f"vidtune run: {len(runs) - len(ready)} runs are left out: {said}", file=sys.stderr)
    names = list(dict.fromkeys(plan.evaluation_of[run.name] for run in ready))
    too_large = {k: why for k, why in fits.split_of(plan, names).items() if isinstance(why, str)}
    for one, why in too_large.items():
        print(f"vidtune run: {one} is left out: {why}", file=sys.stderr)
    if len(too_large) == len(names):
        raise UserError(f"{name}: none of its runs fits gpus: {plan.config.settings.gpus}")
    return [str(plan.root / "runs" / k / "eval.json") for k in names if k not in too_large]


def _variants(plan: Plan, name: str) -> set[str]:
    """The rows of a table that are variants; or the variant of that name."""
    try:
        paper, table = find_table(plan, name).split("/")
    except UserError as e:
        try:
            return {find_variant(plan, name)}
        except UserError:
            raise e from None
    published = plan.config.papers[paper].numbers
    return {f"{paper}/{row}" for n in published if slug(n.where) == table for row in n.rows}
