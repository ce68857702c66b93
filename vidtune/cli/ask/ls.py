"""List the declared variants at their declared size; with --scale, as that scale swaps them."""

import argparse
from typing import Any

from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.spec import Model, Variant
from vidtune.spec.errors import unknown

FILTERS = ("paper", "method", "dataset", "backbone")
HEAD = ("variant", "method", "backbone", "dataset", "frames x views", "recipe", "options")


def arguments(parser: argparse.ArgumentParser) -> None:
    for name in FILTERS:
        parser.add_argument(f"--{name}", nargs="+", help=f"only variants of this {name}")
    add_plan_json(parser)


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
    for name in FILTERS:
        items = _select(items, name, getattr(args, name))
    print_result(args, items, _format(items))


def _select(items: list[dict[str, Any]], key: str, asked: list[str] | None) -> list[dict[str, Any]]:
    """The items whose `key` is asked for. Raises `UserError` for a value that none has."""
    known = dict.fromkeys(item[key] for item in items)
    for value in asked or ():
        if value not in known:
            raise unknown(f"--{key}", value, known)
    return [item for item in items if asked is None or item[key] in asked]


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


def _format(items: list[dict[str, Any]]) -> str:
    """A column is as wide as its longest text."""
    lines = [HEAD, *map(_texts, items)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = ("  ".join(f"{t:{w}}" for t, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join([*(line.rstrip() for line in shown), f"{len(items)} variants"])


def _texts(i: dict[str, Any]) -> tuple[str, ...]:
    share = {} if i["train_share"] == 1 else {"train_share": i["train_share"]}
    options = " ".join(f"{k}={v}" for k, v in (i["options"] | share).items())
    frames = f"{i['frames']:3} x {i['views']}"
    return i["name"], i["method"], i["backbone"], i["dataset"], frames, i["recipe"], options
