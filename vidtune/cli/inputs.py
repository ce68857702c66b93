"""What verbs share: arguments, the reading of what they name, the shape of a job. No torch."""

import argparse
import re
from collections.abc import Callable
from json import dumps
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from vidtune.plan import Config, Plan, load, read_config
from vidtune.plan.chosen import SELECTED
from vidtune.plan.names import find_variant
from vidtune.plan.registry import options_of
from vidtune.spec import Model, Recipe, UserError, load_json, parse, write_json
from vidtune.spec.names import NAME, PATTERNS, check_path
from vidtune.spec.read import M, check_target

MOST = 1_000_000  # of what an argument counts
SPEC = "expected a job's spec file, which Snakemake writes (`snakemake -n` as well)"


def add_plan(parser: argparse.ArgumentParser) -> None:
    """What selects a plan."""
    parser.add_argument(
        "--config", type=as_path, default="config", help="config folder (default: config)"
    )
    parser.add_argument("--scale", type=as_name, help="instead of the one in config.yaml")
    parser.add_argument("--results", type=as_path, help="instead of the one in config.yaml")
    parser.add_argument("--papers", type=as_name, nargs="+", help="instead of those in config.yaml")
    parser.add_argument("--data", type=as_path, help="instead of the one in config.yaml")
    parser.add_argument(
        "--seeds", nargs="+", help="instead of those in config.yaml, or the scale's"
    )


def add_plan_json(parser: argparse.ArgumentParser) -> None:
    """What selects a plan, and --json, which `print_result` obeys."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_plan(parser)


def read_plan(args: argparse.Namespace) -> Plan:
    """The plan of a verb's arguments. Raises `UserError` on the first fault of the configuration."""
    return load(args.config, _given(args))


def read_settings(args: argparse.Namespace) -> Config:
    """The configuration alone, for what no scale decides."""
    return read_config(Path(args.config), _given(args))


def _given(args: argparse.Namespace) -> dict[str, Any]:
    given = {k: getattr(args, k, None) for k in SELECTED}
    return {k: v for k, v in given.items() if v is not None}


def read_spec(kind: type[M], path: Path) -> M:
    """A job's spec. Raises `UserError` where it is none, or names a method or options that do not exist."""
    spec = parse(kind, load_json(path, SPEC, "let Snakemake write it again"), path)
    rows, model = getattr(spec, "rows", ()), getattr(spec, "model", None)
    for one in (*getattr(spec, "models", ()), *(row.model for row in rows), *filter(None, [model])):
        try:
            options_of(one)
        except UserError as e:
            raise UserError(f"{path}: {e}") from None
    return spec


def job(
    kind: type[M], function: str, out: str, sibling: str | None = None
) -> tuple[Callable[[argparse.ArgumentParser], None], Callable[[argparse.Namespace], None]]:
    """The `arguments` and the `run` of a verb that is a job; `out` says what it writes."""

    def arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--spec", type=as_path, required=True, help="the job's spec file")
        parser.add_argument("--out", type=as_path, required=True, help=f"{out} to write")

    return arguments, lambda args: run_job(args, kind, function, sibling)


def run_job(args: argparse.Namespace, kind: type[M], function: str, sibling: str | None) -> None:
    """Call "module:function" with the spec and --out; its module is imported only now.

    With `sibling`, a file or folder next to --out, call it with the spec and that path, and write
    its result to --out.
    """
    spec, out, call = read_spec(kind, Path(args.spec)), Path(args.out), resolve_name(function)
    if sibling:
        check_target(out)
        write_json(out, call(spec, out.parent / sibling))
    else:
        call(spec, out)


def count(text: str) -> int:
    """An argument that counts something."""
    if not (re.fullmatch(r"[0-9]{1,7}", text) and 0 < int(text) <= MOST):
        wanted = f"expected a whole number above 0, {MOST:,} at most"
        raise argparse.ArgumentTypeError(f"{wanted}; found {text[:40]!r}")
    return int(text)


def as_name(text: str) -> str:
    """An argument that names an entry of the configuration, and becomes a part of a path."""
    if not re.fullmatch(NAME, text):
        raise argparse.ArgumentTypeError(f"expected {PATTERNS[NAME]}; found {text[:80]!r}")
    return text


def as_path(text: str) -> str:
    """An argument that is a path."""
    try:
        return check_path(text)
    except ValueError as e:
        raise argparse.ArgumentTypeError(str(e)) from None


def declared_models(plan: Plan, names: list[str]) -> list[Model]:
    """Declared models by name (`vidtune.plan.names`); all of them where no name is given."""
    found = [find_variant(plan, name) for name in names]
    return [plan.models[name] for name in found or plan.models]


def print_result(args: argparse.Namespace, result: Any, text: str) -> None:
    """Print the result as JSON where --json asks for it, else the text."""
    print(dumps(result, indent=1) if args.json else text)


def add_costing(parser: argparse.ArgumentParser) -> None:
    """A variant, or a paper's spec file and the file to write; and what selects a plan."""
    add_plan_json(parser)
    parser.add_argument("variant", nargs="?", help="<paper>/<variant>, or the variant alone")
    parser.add_argument("--spec", type=as_path, help="a paper's spec file instead of a variant")
    parser.add_argument("--out", type=as_path, help="with --spec: the JSON file to write")


def asked_model(args: argparse.Namespace) -> tuple[Model, Recipe] | None:
    """The variant's model and recipe; None: the job of --spec and --out is asked for."""
    if bool(args.variant) == bool(args.spec) or bool(args.spec) != bool(args.out):
        raise UserError("name a variant (see `vidtune ls`), or give both --spec and --out")
    if args.spec:
        return None
    plan = read_plan(args)
    model = declared_models(plan, [args.variant])[0]
    return model, plan.config.recipes[plan.variants[model.name].recipe]
