"""What the report answers first: what was reproduced, what was not and what contradicts a paper, by
table and by claim.

A claim is judged by those of its tests that rest on our numbers alone. Tests that borrow print's number
for one side, compare print with print, or are controls of this project decide none.
"""

import math
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from vidtune.plan import Plan
from vidtune.plan.published_tables import places
from vidtune.report.cells import Cell
from vidtune.report.claims import Finding
from vidtune.report.comparisons import Status
from vidtune.spec import slug
from vidtune.spec.contents import Content

# What a reader asks of a cell -> the verdicts that answer so.
WORDS = {
    "match": ("match", "near"),
    "off": ("off",),
    "undecided": ("subset", "not comparable"),
    "not run": ("not run",),
}
CLAIMS = ("reproduced", "in part", "contradicted", "undecided", "not testable")
HOLDS = ("holds", "exceeded")
SPREAD, REACH = 0.25, 30.0  # percent: where the axis turns logarithmic, and where it ends
NAMED = 3.0  # percent: what is off by more stands as a number beside its dot,
ROOM = 9.0  # of the axis' 100 parts: as much as that takes


class Dot(NamedTuple):
    """A counted or measured cell on the axis of deviations."""

    cell: Cell
    percent: float  # ours over print
    at: float  # place on the axis, 0 to 100
    label: str  # "+18 %" of a cell that is far off, where there is room


class TableLine(NamedTuple):
    """A table or figure of a paper, and how many of its cells have which answer."""

    paper: str
    anchor: str  # "side4video/table2"
    content: Content
    caption: str
    cells: tuple[Cell, ...]
    shown: bool  # whether the page has it, with numbers of print or of ours

    def number_of(self, word: str) -> int:
        """How many of its cells have one of `WORDS`."""
        return sum(c.verdict in WORDS[word] for c in self.cells)

    @property
    def off(self) -> tuple[Cell, ...]:
        return tuple(c for c in self.cells if c.verdict == "off")

    @property
    def dots(self) -> tuple[Dot, ...]:
        """Its counted and measured cells, by how far ours is from print."""
        judged = (c for c in self.cells if c.verdict in ("match", "off"))
        kinds = ("counted", "measured")
        cells = [c for c in judged if c.kind in kinds and float(c.print)]
        apart = [100 * ((c.ours or 0.0) / float(c.print) - 1) for c in cells]
        places = list(map(place, apart))

        def label(k: int) -> str:
            """Written towards print, where no other dot is in its way."""
            way = [(at - places[k]) * -math.copysign(1, apart[k]) for at in places]
            free = not any(0 < at < ROOM for at in way)
            far = cells[k].verdict == "off" and abs(apart[k]) >= NAMED
            return f"{apart[k]:+.0f} %" if far and free else ""

        return tuple(map(Dot, cells, apart, places, map(label, range(len(cells)))))


class ClaimLine(NamedTuple):
    """A claim of a paper with its tests: those on our numbers alone, and all others."""

    claim: str  # "<paper>/<claim>"
    says: str
    where: str
    control: bool
    tests: tuple[Finding, ...]
    others: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """One of `CLAIMS`: what the tests on our numbers alone say together."""
        found: set[Status] = {f.ours for f in self.tests}
        if not self.tests:
            return "not testable"
        if "fails" in found:
            return "contradicted"
        if found <= set(HOLDS):
            return "reproduced"
        return "in part" if found & set(HOLDS) else "undecided"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of numbers that decide: counted, predicted, learned."""
        judged = [f for f in self.tests if f.ours != "not judged"] or self.tests
        return tuple(dict.fromkeys(f.kind for f in judged))

    @property
    def every(self) -> tuple[Finding, ...]:
        return (*self.tests, *self.others)


def place(percent: float) -> float:
    """Where a deviation stands on the axis: linear around 0, logarithmic further out."""
    far = math.log1p(min(abs(percent), REACH) / SPREAD) / math.log1p(REACH / SPREAD)
    return 50 + math.copysign(50 * far, percent)


def table_lines(plan: Plan, cells: Iterable[Cell]) -> list[TableLine]:
    """Every table and figure of the papers, in their order, then other places that print numbers."""
    by_place: dict[str, list[Cell]] = {}
    for cell in cells:
        by_place.setdefault("/".join(cell.cell.split("/")[:2]), []).append(cell)
    shown = {(t.paper, t.where) for t in plan.config.tables.values()}
    lines = []
    for paper in plan.config.papers.values():
        contents = {c.where: c for c in paper.contents}
        for where in places(paper):
            content = contents.get(where, Content(where=where))
            captions = dict.fromkeys(n.caption for n in paper.numbers if n.where == where)
            anchor = f"{paper.name}/{slug(where)}"
            lines.append(
                TableLine(
                    paper=paper.name,
                    anchor=anchor,
                    content=content,
                    caption=", ".join(captions) or content.says or "",
                    cells=tuple(by_place.get(anchor, ())),
                    shown=(paper.name, where) in shown,
                )
            )
    return lines


def claim_lines(tested: Iterable[Finding]) -> list[ClaimLine]:
    """Every claim with its tests, in the papers' order."""
    by_claim: dict[str, list[Finding]] = {}
    for f in tested:
        by_claim.setdefault(f.claim, []).append(f)
    return [
        ClaimLine(
            claim=name,
            says=found[0].says,
            where=found[0].where,
            control=found[0].control,
            tests=tuple(f for f in found if f.ours_alone),
            others=tuple(f for f in found if not f.ours_alone),
        )
        for name, found in by_claim.items()
    ]


def tally(tested: Iterable[Finding], kind: str) -> Counter[str]:
    """How many tests of a kind, on our numbers alone and each run counted once, have which status."""
    return Counter(f.ours for f in tested if f.ours_alone and f.kind == kind and not f.repeats)


def agreements(cells: Iterable[Cell]) -> Counter[str]:
    """How many counted cells that we can count match print how ("rounds to print"), or do not."""
    known = (c for c in cells if c.kind == "counted" and c.verdict != "not run")
    return Counter(c.agrees or c.verdict for c in known)
