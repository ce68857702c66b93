"""All that is known of one published cell: both numbers, the verdict, and where each part of the
configuration comes from."""

import shlex

from vidtune.plan import Plan
from vidtune.plan.chosen import as_arguments, as_settings
from vidtune.plan.origins import Origin, at_scale, origins
from vidtune.report import texts
from vidtune.report.cell_names import CellName, find, label
from vidtune.report.cells import Cell
from vidtune.report.numbers.rows import Row, index_rows
from vidtune.report.verdicts import make_cell
from vidtune.spec import Contradiction, Frozen


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
    named, ours = find(plan, name), index_rows(rows)
    variant, numbers = plan.variants.get(named.variant), named.numbers
    paper, row = named.variant.split("/")
    cited = plan.config.papers[paper].cited.get(row)
    note = variant.note if variant else cited and ". ".join(filter(None, [cited.cites, cited.note]))
    metric = plan.config.metrics[named.metric]
    return Explanation(
        cell=make_cell(plan, ours, named.variant, named.metric, numbers),
        label=label(plan, [numbers], named.variant),
        table=f"{numbers.where}: {numbers.caption}",
        convention=metric.source or f"{metric.label}, {metric.unit}; {metric.kind}",
        condition=numbers.under(row).text,
        note=note or "",
        made_by=tuple(_made_by(plan, named, rows)),
        origins=tuple(origins(plan, named.variant)) if variant else (),
        at_scale=tuple(at_scale(plan, named.variant)) if metric.kind == "learned" else (),
        neighbours=tuple(_neighbours(plan, named)),
        contradictions=tuple(
            c for c in texts.contradictions(plan, paper, ours) if _concerns(c, named)
        ),
        recompute=tuple(_recompute(plan, named)),
    )


def counted_variants(plan: Plan, named: CellName) -> set[str]:
    """The variants whose counted numbers an explanation shows: the cell's, and those that its
    texts name."""
    paper = named.variant.split("/")[0]
    cell = make_cell(plan, {}, named.variant, named.metric, named.numbers)
    concerned = [c for c in plan.config.papers[paper].contradictions if _concerns(c, named)]
    words = [cell.standing_reason, *(t for c in concerned for t in (c.says, c.against, c.note))]
    return {named.variant, *texts.named_variants(paper, *words)}


def _made_by(plan: Plan, named: CellName, rows: list[Row]) -> list[str]:
    """One line for each number of ours that stands at the cell or beside it."""
    lines = []
    for r in (r for r in rows if r.source == "ours" and r.variant == named.variant):
        m = plan.config.metrics[r.metric]
        if named.metric in (m.name, *m.predicts):
            number = r.text or f"{r.value:.{max(m.digits, 1)}f} {m.unit}"
            seed = "" if r.seed is None else f"seed {r.seed}"
            under = r.condition.removeprefix(m.source or "").removeprefix("; ")
            parts = (f"{m.kind} {number}", f"scale {r.scale}", seed, r.device, under, r.where)
            lines.append("; ".join(filter(None, parts)))
    return lines


def _neighbours(plan: Plan, named: CellName) -> list[Neighbour]:
    paper, row = named.variant.split("/")
    order = list(named.numbers.rows)
    at = order.index(row)
    return [
        Neighbour(
            row=other,
            label=label(plan, [named.numbers], f"{paper}/{other}"),
            print=str(named.numbers.rows[other].get(named.metric, "")),
            differs=tuple(_configuration_differences(plan, named.variant, f"{paper}/{other}")),
        )
        for other in (*order[max(at - 1, 0) : at], *order[at + 1 : at + 2])
    ]


def _configuration_differences(plan: Plan, name: str, other: str) -> list[str]:
    """What `other` sets otherwise, as "layers 12, here 6": the tested views, and options only under the
    same method."""
    if name not in plan.variants or other not in plan.variants:
        return []
    mine, theirs = plan.variants[name], plan.variants[other]
    before, after = ("method", "backbone", "dataset", "frames"), ("recipe", "train_share")
    pairs = [(f, getattr(theirs, f), getattr(mine, f)) for f in before]
    pairs += [("views", plan.models[other].views, plan.models[name].views)]
    pairs += [(f, getattr(theirs, f), getattr(mine, f)) for f in after]
    if mine.method == theirs.method:
        options = plan.models[name].options
        pairs += [(k, v, options[k]) for k, v in plan.models[other].options.items() if k in options]
    return [f"{field} {value}, here {own}" for field, value, own in pairs if value != own]


def _concerns(c: Contradiction, named: CellName) -> bool:
    """Whether a contradiction names the cell or its row or, naming none, stands at its table."""
    row, where = named.variant.split("/")[1], named.numbers.where
    if c.cells:
        return row in c.cells or f"{row}/{named.metric}" in c.cells
    return c.where == where or c.where.startswith(f"{where},")


def _recompute(plan: Plan, named: CellName) -> list[str]:
    """The commands that make our number; none for a cited system."""
    name, metric = named.variant, plan.config.metrics[named.metric]
    if name not in plan.variants:
        return []
    asks = as_arguments(plan.config, ("papers",))
    if metric.kind == "counted":
        return [f"vidtune cost {name}{asks}"]
    if metric.kind == "learned":
        return [_train(plan, name)]
    if metric.kind != "measured" or metric.name == "train_hours":  # we have no such number
        return []
    commands = [f"python benchmarks/published.py --only {name}"]
    paper, row = name.split("/")
    asked = plan.config.papers[paper].measured_under().get(row)
    if asked and any(metric.name in m.predicts for m in plan.config.metrics.values()):
        given = f"--batch {asked.batch} --precision {asked.precision}"
        commands.append(f"vidtune memory {name} {given} --attention {asked.attention}{asks}")
    return commands


def _train(plan: Plan, variant: str) -> str:
    """The command that trains a variant at this scale, else at full, with the settings that differ
    from config.yaml's."""
    runs = [plan.evaluation_of[r.name] for r in plan.runs.values() if r.model.name == variant]
    scale = plan.scale.name if runs else "full"
    folder = plan.root.parent / scale / "runs"
    seed = (plan.config.settings.seeds or (0,))[0]  # of a scale that it is not at
    files = [str(folder / run / "eval.json") for run in runs or [f"{variant}@{seed}"]]
    return f"snakemake --cores all{as_settings(plan.config, scale=scale)} -- {shlex.join(files)}"
