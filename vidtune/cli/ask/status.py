"""Say what there is of each scale, and what to do next; `vidtune` alone does the same."""

import argparse
from pathlib import Path
from typing import Any

from vidtune import estimate
from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.events import format_span
from vidtune.plan import Plan, load
from vidtune.plan.chosen import SELECTED, as_arguments, as_settings

LOCKS = Path(".snakemake/locks")

arguments = add_plan_json


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    used = plan.config.settings
    given = {k: getattr(used, k) for k in SELECTED}
    there = [name for name in plan.config.scales if (plan.root.parent / name).is_dir()]
    plans = {
        name: plan if name == plan.scale.name else load(args.config, {**given, "scale": name})
        for name in dict.fromkeys([*there, plan.scale.name])
    }
    scales = [_scale(p) for p in plans.values()]
    result = {
        "scale": plan.scale.name,
        "papers": list(plan.config.papers),
        "scales": scales,
        "locked": LOCKS.is_dir() and any(LOCKS.iterdir()),
        "left": (e := estimate.estimate(plan))["left"],
        "seconds_2_cores": e["seconds_2_cores"],
        "next": _next(plan, e),
    }
    print_result(args, result, _format(plan, result))


def _scale(plan: Plan) -> dict[str, Any]:
    """How far a scale is, by the files of its results."""
    done, runs = estimate.runs_done(plan)
    page, results = plan.root / "report.html", (plan.root / "runs").glob("*/*/eval.json")
    newest = max((path.stat().st_mtime for path in results), default=0.0)
    behind = page.exists() and newest > page.stat().st_mtime
    return {
        "scale": plan.scale.name,
        "runs_done": done,
        "runs": runs,
        "counted": all((plan.root / "costs" / f"{p}.json").exists() for p in plan.config.papers),
        "page": str(page) if page.exists() else None,
        "page_is_behind": behind,
    }


def _next(plan: Plan, e: dict[str, Any]) -> list[tuple[str, str]]:
    """(command, what it does) of what comes next at the scale of the plan."""
    scale, chosen, asked = plan.scale.name, as_settings(plan.config), as_arguments(plan.config)
    seconds = e["seconds_2_cores"]
    how_long = "" if seconds is None else f", about {format_span(seconds)} on two cores"
    out: list[tuple[str, str]] = []
    if e["bring"]:
        out.append(
            (f"vidtune data status{asked}", "which datasets are lacking, and how to bring them")
        )
    if e["left"] and not e["done"] and scale != "smoke":
        smoke = as_settings(plan.config, scale="smoke")
        out.append((f"snakemake --cores all{smoke}", "try every step on a few clips"))
    if e["left"]:
        out.append((f"snakemake --cores all{chosen}", f"{e['left']} jobs are left{how_long}"))
        out.append((f"vidtune plan{asked}", "which"))
        out.append(
            (
                f"vidtune verify --kind counted{asked}",
                "what needs no training: counted cells against print",
            )
        )
        return out
    return [
        *out,
        (f"open {plan.root / 'report.html'}", "the page: tables, plots, verdicts, claims"),
        (f"vidtune summary{asked}", "what was found, in five lines"),
        (f"vidtune verify{asked}", "a verdict on every published cell"),
    ]


def _format(plan: Plan, result: dict[str, Any]) -> str:
    lines = [f"{'scale':12} {'runs':>12}  results in {plan.root.parent}"]
    for one in result["scales"]:
        parts = ["counted"] if one["counted"] else []
        parts += [one["page"]] if one["page"] else []
        parts += ["results have come since the page was made"] if one["page_is_behind"] else []
        mark = "*" if one["scale"] == result["scale"] else ""
        runs = f"{one['runs_done']} of {one['runs']}"
        lines.append(f"{one['scale'] + mark:12} {runs:>12}  {', '.join(parts) or 'nothing yet'}")
    shown = {one["scale"] for one in result["scales"]}
    if others := [name for name in plan.config.scales if name not in shown]:
        lines.append(f"of {', '.join(others)}: nothing yet")
    if result["locked"]:
        lines.append("Snakemake is at work here or was killed: if none runs, snakemake --unlock")
    width = max(len(command) for command, _ in result["next"])
    lines += [f"next (scale {result['scale']}):"]
    lines += [f"  {command:{width}}  # {says}" for command, says in result["next"]]
    return "\n".join([*lines, "vidtune --help lists all verbs"])
