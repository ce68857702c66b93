"""Verbs that answer a question and change nothing."""

import argparse
import json
from pathlib import Path
from typing import Any

from vidtune.cli import estimate
from vidtune.plan import Plan, load, schemas
from vidtune.spec import Model, write_text
from vidtune.spec.suggest import unknown


def plan_of(args: argparse.Namespace) -> Plan:
    given = {k: getattr(args, k, None) for k in ("scale", "results", "papers", "data")}
    return load(args.config, {k: v for k, v in given.items() if v is not None})


def chosen(p: Plan, names: list[str]) -> list[Model]:
    """Declared models by name; none: all."""
    for name in names:
        if name not in p.models:
            raise unknown("variant", name, p.models)
    return [p.models[name] for name in names or p.models]


def ls(args: argparse.Namespace) -> int:
    """Every declared variant, at its declared size; with --scale, as that scale swaps it."""
    p = plan_of(args)
    models = {m.name: m for m in p.models.values()}
    if args.scale:
        models = {r.model.name: r.model for r in p.runs.values()}
    items = [_item(p, m, swapped=bool(args.scale)) for m in models.values()]
    if args.json:
        print(json.dumps(items, indent=1))
        return 0
    for i in items:
        options = " ".join(f"{k}={v}" for k, v in i["options"].items())
        nouns = (
            f"{i['method']:12} {i['backbone']:8} {i['dataset']:12} {i['frames']:3} x {i['views']}"
        )
        print(f"{i['name']:40} {nouns}  {i['recipe']:22} {options}")
    return 0


def _item(p: Plan, model: Model, swapped: bool) -> dict[str, Any]:
    v = p.variants[model.name]
    dataset, recipe = v.dataset, v.recipe
    if swapped:
        run = next(r for r in p.runs.values() if r.model.name == model.name)
        dataset, recipe = run.dataset.name, run.recipe.name
    return {
        "name": model.name,
        "paper": model.name.split("/")[0],
        "method": model.method,
        "backbone": model.backbone.name,
        "dataset": dataset,
        "frames": model.frames,
        "views": model.views,
        "recipe": recipe,
        "options": model.options,
    }


def plan(args: argparse.Namespace) -> int:
    """Jobs per rule with an estimate of time, disk and downloads."""
    p = plan_of(args)
    jobs = estimate.jobs(p)
    if args.json:
        print(json.dumps(jobs, indent=1))
        return 0
    print("\n".join(estimate.lines(p)))
    return 0


def stale(args: argparse.Namespace) -> int:
    """Result files whose code has changed since, for `snakemake -R $(vidtune stale)`."""
    from vidtune.report.numbers import results

    for where in sorted({r.where for r in results.gather(plan_of(args)) if r.stale}):
        print(where)
    return 0


def schema(args: argparse.Namespace) -> int:
    for name, content in schemas().items():
        write_text(Path(args.out) / f"{name}.schema.json", json.dumps(content, indent=1) + "\n")
    return 0
