"""List the declared variants at their declared size; with --scale, as that scale swaps them."""

import argparse
from typing import Any

from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.spec import Model, Variant

arguments = add_plan_json


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    if args.scale:  # the runs of a variant differ in their seed alone
        listed = {
            r.model.name: (r.model, r.dataset.name, r.recipe.name) for r in plan.runs.values()
        }
    else:
        variants = plan.variants
        listed = {k: (m, variants[k].dataset, variants[k].recipe) for k, m in plan.models.items()}
    items = [_item(plan.variants[name], *one) for name, one in listed.items()]
    print_result(args, items, "\n".join(map(_format_item, items)))


def _item(variant: Variant, model: Model, dataset: str, recipe: str) -> dict[str, Any]:
    return {
        "name": model.name,
        "paper": model.name.split("/")[0],
        "method": model.method,
        "backbone": model.backbone.name,
        "dataset": dataset,
        "frames": model.frames,
        "views": model.views,
        "recipe": recipe,
        "train_share": variant.train_share,
        "options": model.options,
    }


def _format_item(i: dict[str, Any]) -> str:
    share = {} if i["train_share"] == 1 else {"train_share": i["train_share"]}
    options = " ".join(f"{k}={v}" for k, v in (i["options"] | share).items())
    size = f"{i['method']:12} {i['backbone']:8} {i['dataset']:12} {i['frames']:3} x {i['views']}"
    return f"{i['name']:40} {size}  {i['recipe']:22} {options}"
