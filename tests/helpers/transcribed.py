"""Two readings of a paper's numbers, compared cell by cell: `config/papers` and the transcription.

`transcription.yaml` beside this file has the second reading, `partners.yaml` which cell is which.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

from helpers.common import REPO
from vidtune.spec import Paper, read_yaml

FIELDS = ("frames", "views", "batch", "gpu", "backbone", "pretrain")  # of a row's conditions
TIMES = "\N{MULTIPLICATION SIGN}"
EMPTY = ("-", "?")  # printed as empty; not recovered
SCALE = {"K": 1000, "B": 1000}  # thousands of videos; billions of parameters, in millions

Cells = dict[tuple[str, str], str]  # (row, metric or column) -> as printed
Tables = dict[str, Cells]

# What a printed relation says of two cells, and what it makes of one.
SAYS = {
    "change": lambda a, b: 100 * (a - b) / b,
    "share": lambda a, b: 100 * a / b,
    "times": lambda a, b: a / b,
    "points": lambda a, b: a - b,
}
GIVES = {"same": lambda b, t: b, "faster": lambda b, t: b / t, "less": lambda b, t: b - t}


def published(paper: Paper) -> Tables:
    """What `config/papers` holds: cells, and conditions by row as "under.<field>"."""
    tables: Tables = {}
    for numbers in paper.numbers:
        table = tables.setdefault(numbers.where, {})
        for row, columns in numbers.rows.items():
            under = numbers.under(row)
            fields = {f"under.{f}": getattr(under, f) for f in FIELDS}
            for key, value in {**columns, **fields}.items():
                if value is not None:
                    assert (row, key) not in table, f"{numbers.where}: {row}/{key} stands twice"
                    table[row, key] = str(value)
    return tables


def cells(table: dict[str, Any]) -> Cells:
    """(row, column) -> text of one typed table, without the empty ones."""
    out = {}
    for row, line in table["rows"].items():
        texts = line.split(" ") if len(table["columns"]) > 1 else [line]
        assert len(texts) == len(table["columns"]), f"{row}: {len(texts)} cells"
        named = {**dict(zip(table["columns"], texts, strict=True)), **table.get("every", {})}
        out.update({(row, c): str(t) for c, t in named.items() if str(t) not in EMPTY})
    return out


def number(text: str) -> str:
    """The digits of a printed number, without its unit: "64.0%", "1x97", "12x197=2364", "9K"."""
    if times := re.fullmatch(r"(\d+)x(\d+)", text):
        return str(int(times[1]) * int(times[2]))
    m = re.fullmatch(rf"([+-]?[\d.]+(?:e-\d+)?)(%|GB|G|h|M|K|B|{TIMES})?", text.split("=")[-1])
    assert m, f"{text!r} is no number"
    return str(round(float(m[1]) * SCALE[m[2]])) if m[2] in SCALE else m[1]


def read(text: str, key: str) -> dict[str, str]:
    """One typed cell by metrics: frames x crops x clips are two conditions."""
    if key == "views":
        frames, crops, clips = text.split(TIMES)
        return {"under.frames": frames, "under.views": f"{crops}x{clips}"}
    if key.startswith("under."):
        return {key: text.replace("_", " ").replace(TIMES, "x")}
    if key == "tflops":
        return {key: number(text.split(TIMES)[0])}
    return {key: number(text.replace(",", ""))}


def rounded(value: Decimal, like: str) -> Decimal:
    """`value` in the digits of `like`."""
    return value.quantize(Decimal(1).scaleb(Decimal(like).as_tuple().exponent), ROUND_HALF_UP)


def fits(printed: list[str], values: list[str]) -> bool:
    """Can `values` be cut into one run of equals for each printed value, in order?"""
    ends, n = {0}, len(values)
    for p in printed:
        ends = {j for i in ends for j in range(i + 1, n + 1) if set(values[i:j]) == {p}}
    return n in ends


@dataclass(frozen=True)
class Transcript:
    """The second reading of one paper, and which of its cells is which in `config/papers`."""

    typed: dict[str, Any]  # table -> columns, rows
    places: dict[str, Any]  # table -> where its cells stand in config/papers
    metrics: dict[str, str]  # column -> metric
    relations: list[dict[str, Any]]
    named: dict[str, Any]  # table of config/papers -> cells without a second reading

    @classmethod
    def of(cls, paper: str) -> "Transcript":
        typed = read_yaml(REPO / "tests/helpers/transcription.yaml")
        partners = read_yaml(REPO / "tests/helpers/partners.yaml")
        relations, alone = (partners[k].get(paper, {}) for k in ("relations", "alone"))
        return cls(typed[paper], partners[paper], partners["metrics"], [*relations], alone)

    @cached_property
    def spans(self) -> list[tuple[str, str, str, list[str]]]:
        """(table, typed row, metric, rows of config/papers) of printed cells that span several rows."""
        return [
            (name, row, metric, entry["spans"])
            for name, entries in self.places.items()
            for entry in entries
            if "spans" in entry
            for row, metric in entry["rows"].items()
        ]

    @cached_property
    def alone(self) -> dict[str, set[tuple[str, str]]]:
        """By table of config/papers, the cells without a second reading."""
        return {
            where: {(row, key) for key, rows in one["cells"].items() for row in rows}
            for where, one in self.named.items()
            if one["why"]
        }

    def placed(self, name: str, entry: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        """(typed row and column, table of config/papers, its row and metric, text) of an entry."""
        columns = entry.get("columns", {**self.metrics, **entry.get("also", {})})
        for (row, column), text in cells(self.typed[name]).items():
            if row not in entry["rows"] or column not in columns:
                continue
            stem = entry["rows"][row]
            name_of_row = entry.get("as", "{}").format(
                *(stem if isinstance(stem, list) else [stem])
            )
            own, _, key = columns[column].format(name_of_row).rpartition("/")
            for k, value in read(text, key).items():
                yield (row, column), entry.get("where", name), (own or name_of_row, k), value

    @cached_property
    def expected(self) -> tuple[Tables, list[str]]:
        """The typed cells under their names in config/papers; and those that have no such name."""
        related = {tuple(r["a"].split("/")[:2]) for r in self.relations}
        tables: Tables = {}
        stray = [f"{name}: no partners" for name in self.typed.keys() - self.places.keys()]
        for name, entries in self.places.items():
            table = self.typed[name]
            used = {tuple(r["typed"][1:]) for r in self.relations if r.get("typed", "?")[0] == name}
            for e in (e for e in entries if "spans" in e):
                used |= {(row, c) for row in (*e["rows"], *e["words"]) for c in table["columns"]}
            placed = [p for e in entries if "spans" not in e for p in self.placed(name, e)]
            rows = related | {(where, row) for _, where, (row, k), _ in placed if "under." not in k}
            for source, where, cell, value in placed:
                if "under." in cell[1] and (where, cell[0]) not in rows:
                    continue  # the row has no number in this table
                used.add(source)
                assert cell not in tables.setdefault(where, {}), f"{name}: {cell} has two partners"
                tables[where][cell] = value
            every = {column for _, column in used} & table.get("every", {}).keys()
            left = {c for c in cells(table) if c not in used and c[1] not in every}
            stray += [f"{name}: {row}, {column}: typed, and has no partner" for row, column in left]
        return tables, stray

    def _unrelated(self, relation: dict[str, Any], printed: Tables) -> list[str]:
        """A line if the relation does not hold between the cells of config/papers."""
        places = [relation[k].split("/") for k in ("a", "b")]
        a, b = (printed.get(where, {}).get((row, key)) for where, row, key in places)
        form, t = relation["form"], "0"
        if a is None or b is None:
            return [f"{relation['a']}, {relation['b']}: one of them is missing"]
        if "typed" in relation:
            name, row, column = relation["typed"]
            t = number(cells(self.typed[name])[row, column])
        if form in SAYS:
            holds = Decimal(t) == rounded(SAYS[form](Decimal(a), Decimal(b)), t)
        else:
            holds = a == str(rounded(GIVES[form](Decimal(b), Decimal(t)), b))
        return [] if holds else [f"{relation['a']} {a}, {relation['b']} {b}: not {form} {t}"]

    def problems(self, printed: Tables) -> list[str]:
        """Where the two readings differ, a line each."""
        tables, stray = self.expected
        out, covered = [*stray], set()
        for relation in self.relations:
            out += self._unrelated(relation, printed)
            where, row, key = relation["a"].split("/")
            if (row, key) not in tables.get(where, {}):
                covered.add((where, (row, key)))
        for name, line, metric, rows in self.spans:
            values = [printed.get(name, {}).get((row, metric), "-") for row in rows]
            if not fits(self.typed[name]["rows"][line].split(" "), values):
                out.append(f"{name}: {line}: {values} cannot be what is printed")
            covered |= {(name, (row, metric)) for row in rows}
        for where, alone in self.alone.items():
            wrong = (alone - printed.get(where, {}).keys()) | (alone & tables.get(where, {}).keys())
            out += [f"{where}: {cell} is not alone" for cell in wrong]
            covered |= {(where, cell) for cell in alone}
        for where in tables.keys() | printed.keys():
            left, right = tables.get(where, {}), printed.get(where, {})
            for cell in left.keys() | right.keys():
                one, other = left.get(cell), right.get(cell)
                if one != other and (where, cell) not in covered:
                    out.append(f"{where}: {'/'.join(cell)}: typed {one}, config/papers {other}")
        return sorted(out)
