"""All that is known of one published cell: both numbers, the verdict, and where each part of the
configuration comes from."""

import shlex
from pathlib import Path
from typing import Any

from vidtune.plan import Plan
from vidtune.plan.memory import convention_of
from vidtune.plan.origins import Origin, at_scale, origins
from vidtune.report import cell_names, verdicts
from vidtune.report.cell_names import Named
from vidtune.report.numbers.rows import Row
from vidtune.report.verdicts import Cell
from vidtune.spec import Contradiction, Metric, Numbers, read_yaml
from vidtune.spec.nouns import Frozen


class Neighbour(Frozen):
    """The row above or below in the paper's table, and how its configuration differs."""

    row: str
    label: str
    print: str  # of the same column; "" where the paper prints nothing
    differs: tuple[str, ...]  # "layers 12, here 6"; empty: a cited system, or the same


class Explanation(Frozen):
    cell: Cell
    label: str  # of the row, in the paper
    table: str
    convention: str  # what the column counts or measures
    condition: str  # what print was taken under
    note: str  # on the variant or the cited system
    made_by: tuple[str, ...]  # files, device and conditions of our numbers
    origins: tuple[Origin, ...]  # of the declared configuration; empty for a cited system
    at_scale: tuple[Origin, ...]  # what the scale at hand puts in its place
    neighbours: tuple[Neighbour, ...]
    contradictions: tuple[Contradiction, ...]
    recompute: tuple[str, ...]  # commands


def explain(plan: Plan, name: str, rows: list[Row]) -> Explanation:
    """Raises `UserError` for a name that is no published cell."""
    found = cell_names.find(plan, name)
    cell = next(c for c in verdicts.cells(plan, rows) if c.cell == found.cell)
    paper, row = found.variant.split("/")
    variant, cited = plan.variants.get(found.variant), plan.config.papers[paper].cited.get(row)
    note = variant.note if variant else cited and ". ".join(filter(None, [cited.cites, cited.note]))
    metric = plan.config.metrics[found.metric]
    return Explanation(
        cell=cell,
        label=cell_names.label(plan, found.numbers, found.variant),
        table=f"{found.numbers.where}: {found.numbers.caption}",
        convention=metric.source or f"{metric.label}, {metric.unit}; {metric.kind}",
        condition=found.numbers.under(row).text,
        note=note or "",
        made_by=_made_by(plan, found, rows),
        origins=tuple(origins(plan, found.variant)) if variant else (),
        at_scale=tuple(at_scale(plan, found.variant)) if metric.kind == "learned" else (),
        neighbours=tuple(_neighbours(plan, found)),
        contradictions=tuple(_contradictions(plan, found)),
        recompute=tuple(_recompute(plan, found)),
    )


def _made_by(plan: Plan, found: Named, rows: list[Row]) -> tuple[str, ...]:
    """One line for each number of ours that stands at the cell or beside it."""
    beside = {m.name for m in plan.config.metrics.values() if found.metric in m.beside}
    out = []
    for r in rows:
        if (
            r.source == "ours"
            and r.variant == found.variant
            and r.metric in {found.metric, *beside}
        ):
            m = plan.config.metrics[r.metric]
            number = r.text or f"{r.value:.{max(m.digits, 1)}f} {m.unit}"
            seed = "" if r.seed is None else f"seed {r.seed}"
            under = r.condition.removeprefix(m.source or "").removeprefix("; ")
            parts = (f"{m.kind} {number}", f"scale {r.scale}", seed, r.device, under, r.where)
            out.append("; ".join(filter(None, parts)))
    return tuple(out)


def _neighbours(plan: Plan, found: Named) -> list[Neighbour]:
    paper, row = found.variant.split("/")
    order = list(found.numbers.rows)
    at = order.index(row)
    return [
        Neighbour(
            row=other,
            label=cell_names.label(plan, found.numbers, f"{paper}/{other}"),
            print=str(found.numbers.rows[other].get(found.metric, "")),
            differs=tuple(_differs(plan, found.variant, f"{paper}/{other}")),
        )
        for other in (order[max(at - 1, 0) : at] + order[at + 1 : at + 2])
    ]


def _differs(plan: Plan, here: str, there: str) -> list[str]:
    """What is set otherwise there; options only under the same method."""
    if here not in plan.variants or there not in plan.variants:
        return []
    a, b = (_facts(plan, name) for name in (there, here))
    own = {k for k in a if k in b or not k.startswith("options.")}
    if a["method"] != b["method"]:
        own = {k for k in own if not k.startswith("options.")}
    pairs = [(k, v, b[k]) for k, v in a.items() if k in own and v != b[k]]
    return [f"{k.removeprefix('options.')} {v}, here {mine}" for k, v, mine in pairs]


def _facts(plan: Plan, name: str) -> dict[str, Any]:
    v = plan.variants[name]
    fields = ("method", "backbone", "dataset", "frames", "views", "recipe")
    options = {f"options.{k}": x for k, x in plan.models[name].options.items()}
    return {**{f: getattr(v, f) for f in fields}, **options}


def _contradictions(plan: Plan, found: Named) -> list[Contradiction]:
    """Those that name the cell or its row, or stand at its table."""
    paper, row = found.variant.split("/")
    touched = {row, f"{row}/{found.metric}"}

    def bears(c: Contradiction) -> bool:
        return bool(touched & set(c.cells)) or (not c.cells and _at(found.numbers, c))

    return [c for c in plan.config.papers[paper].contradictions if bears(c)]


def _at(numbers: Numbers, c: Contradiction) -> bool:
    return c.where == numbers.where or c.where.startswith(f"{numbers.where},")


def _recompute(plan: Plan, found: Named) -> list[str]:
    """The commands whose output our number is; none for a cited system."""
    if found.variant not in plan.variants:
        return []
    metric = plan.config.metrics[found.metric]
    if metric.kind == "counted":
        return [f"vidtune cost {found.variant}"]
    if metric.kind == "learned":
        runs = [r for r in plan.runs.values() if r.model.name == found.variant]
        scale = plan.scale.name if runs else "full"
        files = [str(plan.root / "runs" / r.name / "eval.json") for r in runs]
        if not runs:
            root = plan.root.parent / scale / "runs"
            files = [str(root / f"{found.variant}@0" / "eval.json")]
        chosen = " ".join([f"scale={scale}", *_overrides(plan)])
        return [f"snakemake --cores all --config {chosen} -- {' '.join(files)}"]
    if metric.kind != "measured" or metric.name == "train_hours":  # nothing of ours makes it
        return []
    measure = f"python benchmarks/published.py --only {found.variant}"
    return [measure, *_predict(plan, found.variant, metric)]


def _overrides(plan: Plan) -> list[str]:
    """Settings that differ from config.yaml's, as Snakemake takes them."""
    declared = read_yaml(Path(plan.config.folder) / "config.yaml")
    used = plan.config.settings
    keys = [k for k in ("results", "data") if getattr(used, k) != declared.get(k)]
    return [f"{key}={shlex.quote(str(getattr(used, key)))}" for key in keys]


def _predict(plan: Plan, variant: str, metric: Metric) -> list[str]:
    """The command that predicts what is printed as memory, under the convention of its rows."""
    asked = convention_of(plan.config.memory, variant)
    predicted = any(metric.name in m.beside for m in plan.config.metrics.values())
    if asked is None or not predicted:
        return []
    given = f"--batch {asked.batch} --precision {asked.precision} --attention {asked.attention}"
    return [f"vidtune memory {variant} {given}"]
