"""Count parameters, tokens and GFLOPs at full size, without a GPU.

Of a variant; with --spec and --out, of all models of a paper.
"""

import argparse
from typing import Any

from vidtune.cli.inputs import add_costing, asked_model, print_result, run_job
from vidtune.spec import Costing, Model

CONVENTIONS = ("paper", "macs", "full")  # see `vidtune.cost.formulas.Tally`
SIDES = {"vision": "vision, one view", "text": "text, one", "head": "similarity, one pair"}


arguments = add_costing


def run(args: argparse.Namespace) -> None:
    if not (asked := asked_model(args)):
        return run_job(args, Costing, "vidtune.cost.paper_costs:count_paper", "kept")
    from vidtune.cost import count

    model, _ = asked
    result = count.cost(model)
    print_result(args, result, format_cost(model, result))


def format_cost(model: Model, result: dict[str, Any]) -> str:
    size, tuned = result["params_total"] / 1e6, result["params_tuned"] / 1e6
    lines = [
        f"{model.name}: {model.backbone.name}, {model.frames} frames, {model.views} views",
        f"  parameters     {size:.3f} M, tuned {tuned:.3f} M",
    ]
    for part, n in result["params_by_part"].items():
        lines.append(f"    {part:18} {n['total'] / 1e6:10.3f} M  {n['tuned'] / 1e6:10.3f} M")
    lines += _format_operations(result)
    lines.append(f"  output tokens  {result['output_tokens']}")
    for i, t in enumerate(result["tokens"]):
        entering, leaving = t["entering_attention"], t["leaving"]
        lines.append(f"  layer {i:3}      {t['sequences']} x {entering} -> {leaving}")
    return "\n".join(lines)


def _format_operations(result: dict[str, Any]) -> list[str]:
    """One line per side, in both units: a multiply-accumulate is two FLOPs."""
    by = result["gmacs_by"]

    def line(label: str, side: str, times: int = 1) -> str:
        gmacs = [by[convention][side] * times for convention in CONVENTIONS]
        cells = "".join(f"{g:>14.3f}" for g in (*gmacs, *(2 * g for g in gmacs)))
        return f"    {label:20}{cells}"

    heads = (f"{convention} {unit}" for unit in ("GMACs", "GFLOPs") for convention in CONVENTIONS)
    return [
        f"  {'operations':22}{''.join(f'{head:>14}' for head in heads)}",
        line("vision, all views", "vision", result["views"]),
        *(line(label, side) for side, label in SIDES.items() if by["macs"][side]),
        "    paper: products and fvcore's terms of normalisation; macs: matrix products alone;",
        "    full: and every operation on an element, worth half a product",
    ]
