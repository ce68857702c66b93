"""List the declared variants at their declared size; with --scale, as that scale swaps them."""

import argparse
from typing import Any

from vidtune.cli.inputs import add_plan, print_result, read_plan
from vidtune.plan import Plan
from vidtune.spec import Model


def arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(parser, json=True)


def run(args: argparse.Namespace) -> int:
    plan = read_plan(args)
    models = {m.name: m for m in plan.models.values()}
    if args.scale:
        models = {r.model.name: r.model for r in plan.runs.values()}
    items = [_item(plan, m, swapped=bool(args.scale)) for m in models.values()]
    print_result(args, items, "\n".join(map(_format_item, items)))
    return 0


def _format_item(i: dict[str, Any]) -> str:
    options = " ".join(f"{k}={v}" for k, v in i["options"].items())
    size = f"{i['method']:12} {i['backbone']:8} {i['dataset']:12} {i['frames']:3} x {i['views']}"
    return f"{i['name']:40} {size}  {i['recipe']:22} {options}"


def _item(plan: Plan, model: Model, swapped: bool) -> dict[str, Any]:
    variant = plan.variants[model.name]
    dataset, recipe = variant.dataset, variant.recipe
    if swapped:
        run = next(r for r in plan.runs.values() if r.model.name == model.name)
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
