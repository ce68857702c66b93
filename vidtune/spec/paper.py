"""A paper: its variants, published numbers with their sources, claims and contradictions."""

import re
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from vidtune.spec.contents import Content, problems_of_contents
from vidtune.spec.figure import Figure
from vidtune.spec.frozen import Attention, Count, Extent, Frozen, Precision, Share, Views
from vidtune.spec.names import Name, VariantName

NUMBER = re.compile(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", re.IGNORECASE)


class Citation(Frozen):
    key: str
    label: str | None = None  # the paper in titles of tables; None: the name of its file
    title: str
    arxiv: str
    code: str  # owner/name@commit
    venue: str | None = None
    authors: tuple[str, ...] = ()  # "First Last"; (): unknown
    year: Count | None = None


class Variant(Frozen):
    """A method x backbone x dataset x frames x recipe x options, declared once."""

    name: VariantName
    method: Name
    backbone: str
    dataset: str
    frames: Extent
    views: Views = "1x1"  # crops x clips
    tested: Views | None = None  # the authors' own test, where the tables print other views
    recipe: str
    train_share: Share = 1.0  # of the training clips that are used
    options: dict[str, Any] = Field(default_factory=dict)
    label: str | None = None  # the row's name in the paper
    note: str | None = None
    fitted: tuple[str, ...] = ()  # metrics whose printed value the reading was chosen to have

    def problems(self) -> Iterator[str]:
        if self.train_share == 0:
            yield "train_share: expected a share above 0; found 0"


class Fit(Frozen):
    """A line from predicted GiB to printed GB, through printed rows: it explains nothing."""

    slope: float  # GB per GiB
    offset: float  # GB
    rows: tuple[str, ...]  # variants that it was fitted on


class Assumed(Frozen):
    """What printed memory or speed is taken to have been measured under, where the paper is silent.

    Predictions and our own measurements are made under it. An assumed batch never counts as printed.
    """

    batch: Count | None = None  # videos of one device; None: as the table states
    precision: Precision
    attention: Attention
    source: str  # how it is known


class AlsoMeasured(Assumed):
    """Variants that are measured although no table prints it of them; the conditions are ours."""

    rows: tuple[str, ...]
    batch: Count


class Conditions(Frozen):
    """What printed cells were measured under, as far as the paper says; for a table or one row.

    A count is a number, or text where print has more than one ("32 (B/16), 16 (L/14)").
    """

    condition: str | None = None  # what the fields below cannot say
    views: Views | None = None  # crops x clips
    frames: int | str | None = None  # of one clip
    batch: int | str | None = None  # videos of one device
    precision: str | None = None
    gpu: str | None = None
    backbone: str | None = None  # as printed
    pretrain: str | None = None  # as printed
    trust: str | None = None  # how sure the transcription is, where it is not the paper's own page
    assumed: Assumed | None = None  # what is not printed

    @property
    def text(self) -> str:
        """The printed conditions in words, without `trust`."""
        given = {
            "backbone": self.backbone,
            "pre-trained": self.pretrain,
            "frames": self.frames,
            "views": self.views,
            "batch": self.batch,
            "precision": self.precision,
            "on": self.gpu,
        }
        parts = [f"{name} {value}" for name, value in given.items() if value is not None]
        return "; ".join(filter(None, (self.condition, ", ".join(parts))))


class Numbers(Conditions):
    """Published cells: `rows` maps a variant (or a cited system) to metric -> number.

    A number may be written as a string to keep its digits ("0.50"). `reasons` are standing ones,
    for a whole row ("row") or one cell ("row/metric"). `conditions` are those of a row that differ
    from the table's.
    """

    where: Annotated[str, Field(min_length=1, max_length=100)]  # "Table 9 (f)"
    caption: str
    rows: dict[str, dict[str, float | int | str]]
    labels: dict[str, str] = Field(default_factory=dict)  # how the paper's table names a row
    reasons: dict[str, str] = Field(default_factory=dict)
    conditions: dict[str, Conditions] = Field(default_factory=dict)

    def problems(self) -> Iterator[str]:
        for row, cells in self.rows.items():
            for metric, value in cells.items():
                if not NUMBER.fullmatch(str(value)):
                    yield f"rows.{row}.{metric}: expected a number; found {value!r}"
        cells = self.cells
        for key in (*self.labels, *self.reasons):
            if key not in cells:
                yield f"labels, reasons: {key!r} is no row (or row/metric) of this table"
        for key in self.conditions:
            if key not in self.rows:
                yield f"conditions: {key!r} is no row of this table"

    @property
    def cells(self) -> set[str]:
        """Every "row" and "row/metric"."""
        return {*self.rows, *(f"{row}/{metric}" for row in self.rows for metric in self.rows[row])}

    def under(self, row: str) -> Conditions:
        """The conditions of one row: its own over the table's."""
        own = self.conditions.get(row, self)
        fields = Conditions.model_fields
        given = {name: getattr(own, name) for name in fields}
        return Conditions(**{k: getattr(self, k) if v is None else v for k, v in given.items()})

    def measured_under(self, row: str) -> Assumed | None:
        """What a row's memory is predicted and measured under, with its batch; None: unknown."""
        under = self.under(row)
        if under.assumed is None or not isinstance(under.batch, int):
            return under.assumed
        return under.assumed.model_copy(update={"batch": under.batch})


class Cited(Frozen):
    """A system whose numbers a paper prints beside its own, and which is no variant."""

    label: str  # as the paper names it
    cites: str = ""  # where it comes from
    note: str = ""  # why it is no variant, where that is not plain


class Contradiction(Frozen):
    """Where a paper disagrees with itself, with its code or with what can be counted."""

    where: str  # the place of `says`
    says: str
    against: str  # what stands elsewhere, and where
    note: str = ""  # which of the two we follow, and why
    cells: tuple[str, ...] = ()  # "row/metric" or "row" that it touches


class ClaimTest(Frozen):
    """Either an order (`best_first`) or a change of `of` against `against` in percent."""

    metric: str
    best_first: tuple[str, ...] | None = None
    of: str | None = None
    against: str | None = None
    percent: float | None = None  # signed change that the paper states
    within: float = 1.0  # percentage points

    def problems(self) -> Iterator[str]:
        change = (self.of, self.against, self.percent)
        if (self.best_first is None) == (None in change) or (self.best_first and any(change)):
            yield "give either best_first, or of, against and percent"
        elif self.best_first is not None and len(set(self.best_first)) < max(
            2, len(self.best_first)
        ):
            yield f"best_first: expected two rows or more, each once; found {list(self.best_first)}"
        elif self.of is not None and self.of == self.against:
            yield f"against: expected another row than {self.of}"


class Claim(Frozen):
    """What the paper says, or, as a `control`, what we check beside it."""

    says: str
    where: str
    tests: tuple[ClaimTest, ...]
    control: bool = False  # not the paper's: it prints no numbers for it


class Paper(Frozen):
    """`config/papers/<name>.yaml`, with `base` and `each` already expanded."""

    name: Name
    cite: Citation
    variants: dict[str, Variant]
    cited: dict[Name, Cited] = Field(default_factory=dict)  # by row
    numbers: tuple[Numbers, ...] = ()
    fit: Fit | None = None  # of its predicted memory
    also_measured: tuple[AlsoMeasured, ...] = ()
    figures: tuple[Figure, ...] = ()
    claims: dict[str, Claim] = Field(default_factory=dict)
    contradictions: tuple[Contradiction, ...] = ()
    contents: tuple[Content, ...] = ()  # its tables and figures, in its order

    def measured_under(self) -> dict[str, Assumed]:
        """Variant -> the conditions that its printed memory and speed are taken to share."""
        pairs = ((row, n.measured_under(row)) for n in self.numbers for row in n.rows)
        out: dict[str, Assumed] = {}
        for row, under in pairs:
            if under and row in self.variants:
                out.setdefault(row, under)
        return out

    def problems(self) -> Iterator[str]:
        """What is named is declared: a row is a variant or a cited system, and never both."""
        known = {*self.variants, *self.cited}
        cells = set().union(*(numbers.cells for numbers in self.numbers))
        for row in self.cited:
            if row in self.variants:
                yield f"cited.{row}: a variant as well; drop one of the two"
            if row not in cells:
                yield f"cited.{row}: no table has this row; add its numbers or drop it"
        neither = "neither a variant nor a cited system"
        for k, numbers in enumerate(self.numbers):
            for row in numbers.rows:
                if row not in known:
                    yield f"numbers.{k}.rows.{row}: {neither}; declare it under variants or cited"
        for name, claim in self.claims.items():
            for test in claim.tests:
                for row in (*(test.best_first or ()), test.of, test.against):
                    if row and row not in known:
                        yield f"claims.{name}: {row!r} is {neither}"
        for k, figure in enumerate(self.figures):
            for row in figure.rows:
                if row not in self.variants:
                    yield f"figures.{k}.rows: {row!r} is no variant; fix the name"
        for k, one in enumerate(self.contradictions):
            for cell in one.cells:
                if cell not in cells:
                    key = f"contradictions.{k}.cells"
                    yield f"{key}: {cell!r} is no published row or row/metric; fix or drop it"
        places = dict.fromkeys([n.where for n in self.numbers] + [c.where for c in self.contents])
        named: dict[str, str] = {}
        for where in places:
            if not slug(where) or named.setdefault(slug(where), where) != where:
                other = named.get(slug(where), "no letter or digit of English")
                yield f"numbers, contents: where: {where!r}: an address as of {other!r}; rename it"
        yield from problems_of_contents(self.contents, [numbers.where for numbers in self.numbers])
        yield from self._problems_of_memory()

    def _problems_of_memory(self) -> Iterator[str]:
        """Every variant has one set of conditions, and what is measured or fitted is a variant."""
        known = self.measured_under()
        for k, numbers in enumerate(self.numbers):
            key = f"numbers.{k}.assumed"
            for row in [row for row in numbers.rows if row in known]:
                under = numbers.measured_under(row)
                if under and under.batch is None:
                    yield f"{key}.batch: missing, and the table states none of {row}; add it"
                if under and under.model_copy(update={"source": known[row].source}) != known[row]:
                    yield f"{key}: {row}: an earlier table assumes otherwise; fix one"
        fitted = self.fit.rows if self.fit else ()
        extra = [row for group in self.also_measured for row in group.rows]
        for key, rows in {"fit.rows": fitted, "also_measured": extra}.items():
            for row in rows:
                if row not in self.variants:
                    yield f"{key}: {row!r} is no variant; fix the name"
        for row in extra:
            if row in known or extra.count(row) > 1:
                yield f"also_measured: {row}: measured already; drop it"


def slug(text: str) -> str:
    """ "Table 9 (f)" -> "table9f", "Ours B/16 light" -> "ours-b16-light"."""
    text = re.sub(r"[/()']", "", text.lower().replace(" (", ""))
    text = re.sub(r"[^a-z0-9.]+", "-", text).strip("-.")
    return re.sub(r"^(table|figure)-", r"\1", text)
