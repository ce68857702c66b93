"""Numbers of ours in texts of the configuration: none is typed by hand (`vidtune.spec.placeholders`)."""

import re

from vidtune.plan import Plan
from vidtune.report.cells import mean
from vidtune.report.numbers.rows import RowIndex
from vidtune.spec import Contradiction
from vidtune.spec.placeholders import PLACEHOLDER


def fill(plan: Plan, paper: str, text: str, ours: RowIndex) -> str:
    """`text` with our numbers in the place of its placeholders."""

    def number(match: re.Match[str]) -> str:
        row, metric, form = match.groups()
        rows = ours.get((f"{paper}/{row}", metric), [])
        if plan.config.metrics[metric].kind == "measured":  # on one device
            rows = [r for r in rows if not r.text][:1]
        value = mean(rows)
        digits = f".{plan.config.metrics[metric].digits}f"
        return "(not computed yet)" if value is None else format(value, form or digits)

    return PLACEHOLDER.sub(number, text)


def named_variants(paper: str, *texts: str) -> set[str]:
    """The variants whose numbers the texts name."""
    return {f"{paper}/{match[1]}" for text in texts for match in PLACEHOLDER.finditer(text)}


def contradictions(plan: Plan, paper: str, ours: RowIndex) -> list[Contradiction]:
    """A paper's contradictions with our numbers in them."""
    return [
        c.model_copy(
            update={k: fill(plan, paper, getattr(c, k), ours) for k in ("says", "against", "note")}
        )
        for c in plan.config.papers[paper].contradictions
    ]
