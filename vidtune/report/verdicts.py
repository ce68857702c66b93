"""Each published cell against ours: one verdict from a closed list.

match            counted, measured: inside the metric's bound (`Cell.agrees` says how); a setting, or
                 learned at full scale: as printed
near             learned at full scale: within the noise
off              neither
subset           learned on too small a share of the data
not comparable   ours exists, but was learned at another scale, measured under other conditions, or
                 chosen to agree
not run          we have no number
"""

import statistics
from collections.abc import Iterable
from typing import Literal, get_args

from vidtune.plan import Plan
from vidtune.report.cell_names import published_cells
from vidtune.report.cells import Cell, mean, printed_digits
from vidtune.report.numbers import conditions
from vidtune.report.numbers.rows import BUSY, FULL_SIZE, OOM, Row, RowIndex, best, index_rows
from vidtune.report.numbers.settings import READ
from vidtune.report.texts import fill
from vidtune.spec import Dataset, Metric, Numbers, Run, slug

Verdict = Literal["match", "near", "off", "subset", "not comparable", "not run"]
VERDICTS = get_args(Verdict)
OTHERWISE = "trained by recipe"  # how a reason begins to name another one than is declared
MEASURED_WITHIN = 0.05  # share of print inside which a measured number matches


def cells(plan: Plan, rows: Iterable[Row]) -> list[Cell]:
    """Every published cell with its verdict, in the papers' order."""
    ours = index_rows(rows)
    return [make_cell(plan, ours, c.variant, c.metric, c.numbers) for c in published_cells(plan)]


def make_cell(
    plan: Plan, ours: RowIndex, variant: str, metric: str, numbers: Numbers | None
) -> Cell:
    """The cell of a table that prints it (`numbers`), or of one that leaves it empty."""
    m = plan.config.metrics[metric]
    paper, row = variant.split("/")
    last = ours.get((variant, metric), [])
    rows = ours.get((variant, best(metric))) or last
    if m.kind == "measured":  # the first that can stand beside print, else the first
        fit = [r for r in rows if numbers and not _unlike(plan, numbers, r)]
        rows = last = (fit or rows)[:1]
    diverged = 0 if rows is last else len(rows) - len(last)
    predictions = {
        b.name: ours[variant, b.name][0]
        for b in plan.config.metrics.values()
        if metric in b.predicts and (variant, b.name) in ours
    }
    cell = Cell(
        cell=f"{paper}/{slug(numbers.where)}/{row}/{metric}" if numbers else "",
        variant=variant,
        metric=metric,
        unit=m.unit,
        kind=m.kind,
        print=str(numbers.rows[row][metric]) if numbers else "",
        ours=mean(rows),
        last=None if rows is last or diverged else mean(last),
        diverged=diverged,
        predicted={name: r.value for name, r in predictions.items()},
        numbers=numbers,
        rows=tuple(rows),
        predictions=predictions,
        comparable=m.kind != "learned" or not rows or _at_full_size(plan, rows[0].scale),
    )
    if not numbers:
        return cell
    verdict, reason = _judge_cell(plan, cell)
    reason = "; ".join(filter(None, [reason, cell.selection(m.digits)]))
    if verdict == "not run" and predictions and variant in plan.variants:
        first = next(iter(predictions.values()))
        reason += f"; predicted {first.value:.2f} {first.unit} beside it"
    if cell.standing_reason and verdict != "match":
        standing = fill(plan, paper, cell.standing_reason, ours)
        reason = "; ".join(filter(None, [standing, reason if m.kind == "learned" else ""]))
    agrees = ""
    if verdict == "match":
        agrees = "as printed" if m.kind in ("setting", "learned") else _agreement(m, cell)
    return cell.model_copy(update={"verdict": verdict, "reason": reason, "agrees": agrees})


def _agreement(metric: Metric, cell: Cell) -> str:
    """How a counted or measured number is the printed one: "rounds to print", "within one unit" (of its
    last digit) or "within 5 %", by the metric's bound; "" where it is not."""
    text, ours = cell.print, cell.ours
    assert ours is not None
    share = MEASURED_WITHIN if metric.kind == "measured" else None
    share = metric.within if metric.within is not None else share
    digits = printed_digits(text)
    if round(ours, digits) == float(text):
        return "rounds to print"
    bound = 10.0**-digits if share is None else share * abs(float(text))
    if abs(ours - float(text)) > bound * (1 + 1e-9):
        return ""
    return "within one unit" if share is None else f"within {100 * share:g} %"


def _unlike(plan: Plan, numbers: Numbers, row: Row) -> str:
    """Why a measurement cannot be compared with print; "" where it can."""
    if row.text:
        ends = {OOM: f"out of memory on {row.device}", BUSY: f"{row.device} was busy meanwhile"}
        return f"{ends[row.text]} ({row.condition})"
    want = conditions.required(plan, numbers, row.variant)
    have = {**conditions.parse_conditions(row.condition), "gpu": row.device}
    keys = conditions.MEMORY if row.unit.startswith(("GB", "MB")) else conditions.STATED
    for key in keys:
        theirs, mine = want.get(key, "not stated"), have.get(key, "unknown")
        if not conditions.agree(key, theirs, mine):
            return f"measured with {key} {mine}; print's is {theirs}"
    return ""


def _judge_cell(plan: Plan, cell: Cell) -> tuple[Verdict, str]:
    """The verdict and its reason, standing reasons aside; a counted `off` has none of its own."""
    m = plan.config.metrics[cell.metric]
    if not cell.rows:
        return "not run", _why_not_run(plan, cell)
    if m.kind == "measured":
        return _judge_measured(plan, m, cell)
    if m.kind == "learned":
        return _judge_learned(plan, m, cell)
    assert cell.ours is not None
    if m.kind == "setting":
        return ("match" if cell.ours == float(cell.print) else "off"), ""
    assert all(r.scale == FULL_SIZE for r in cell.rows)
    if m.name in plan.variants[cell.variant].fitted:
        return "not comparable", "a reading chosen to have this number: agreement says nothing"
    return ("match" if _agreement(m, cell) else "off"), ""


def _judge_measured(plan: Plan, m: Metric, cell: Cell) -> tuple[Verdict, str]:
    (row,) = cell.rows
    assert cell.numbers
    if unlike := _unlike(plan, cell.numbers, row):
        return "not comparable", unlike
    if _agreement(m, cell):
        return "match", ""
    printed = float(cell.print)
    change = f"{100 * (row.value / printed - 1):+.1f} % of print" if printed else "print has 0"
    return "off", f"{change} on {row.device} ({row.condition})"


def _at_full_size(plan: Plan, scale: str) -> bool:
    known = plan.config.scales.get(scale)
    return known is not None and known.at_full_size


def _judge_learned(plan: Plan, m: Metric, cell: Cell) -> tuple[Verdict, str]:
    assert cell.ours is not None
    run = next((r for r in plan.runs.values() if r.model.name == cell.variant), None)
    scale = cell.rows[0].scale
    if run is None:
        return "not comparable", f"learned at scale {scale}, which trains it no more"
    if not cell.comparable:
        return "not comparable", f"learned at scale {scale}, {_differs(plan, run)}"
    if reason := _why_subset(plan.config.datasets[run.dataset.name], cell.rows):
        return "subset", reason
    verdict, reason = _against_print(m, cell)
    declared = plan.variants[cell.variant].recipe
    if run.recipe.name != declared:
        other = f"{OTHERWISE} {run.recipe.name} in place of {declared}"
        reason = "; ".join(filter(None, [reason, other]))
    return verdict, reason


def _differs(plan: Plan, run: Run) -> str:
    """What a run has otherwise than is declared, besides its recipe."""
    declared = plan.models[run.model.name]
    if run.dataset.generated:
        return "on generated videos"
    if run.dataset.name != plan.variants[run.model.name].dataset:
        return "on other videos"
    if run.model.backbone != declared.backbone:
        return f"with {run.model.backbone.name} in place of {declared.backbone.name}"
    if run.model.frames != declared.frames:
        return f"with {run.model.frames} frames in place of {declared.frames}"
    return f"which has other {plan.scale.unlike} of other variants"


def _against_print(m: Metric, cell: Cell) -> tuple[Verdict, str]:
    assert cell.ours is not None
    if round(cell.ours, printed_digits(cell.print)) == float(cell.print):
        return "match", ""
    if m.noise is None and len(cell.rows) == 1:
        return "not comparable", "one seed, and no noise is declared in metrics.yaml"
    spread = statistics.stdev(r.value for r in cell.rows) if len(cell.rows) > 1 else 0.0
    noise = 2 * max(m.noise or 0.0, spread)
    bound = f"two standard deviations ({noise:.{m.digits}f} {m.unit})"
    if abs(cell.ours - float(cell.print)) <= noise:
        return "near", f"within {bound} of print"
    return "off", f"more than {bound} from print"


def _why_subset(dataset: Dataset, rows: tuple[Row, ...]) -> str:
    """Why a result is only a subset's; "" where enough of the clips were used."""
    shares = [r.coverage for r in rows if r.coverage is not None]
    expected = dataset.expected.get(dataset.evaluate_on)
    clips = [r.n for r in rows if r.n is not None]
    if expected and clips and dataset.expected_of == "clips":
        shares.append(min(clips) / expected)
    if not shares or min(shares) >= dataset.coverage:
        return ""
    return (
        f"trained or evaluated on {100 * min(shares):.1f} % of the clips; "
        f"below {100 * dataset.coverage:g} % nothing is compared"
    )


def _why_not_run(plan: Plan, cell: Cell) -> str:
    if cell.variant not in plan.variants:
        note = plan.config.papers[cell.variant.split("/")[0]].cited[cell.row].note
        return note or "cited system: its method is not part of this version"
    if cell.kind == "setting":
        if cell.metric not in READ:
            return "vidtune reads no such setting: it has no entry in numbers/settings.py"
        return "the variant's configuration has no such setting"
    if cell.kind == "counted":
        return "not counted yet: run `vidtune cost`"
    if cell.kind == "measured":
        return "not measured on a GPU yet: run `make bench-gpu`"
    if not any(run.model.name == cell.variant for run in plan.runs.values()):
        return f"not trained at scale {plan.scale.name}"
    return f"no result at scale {plan.scale.name}: not run yet, diverged or out of memory"
