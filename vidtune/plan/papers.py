"""Reads `config/papers/<paper>.yaml`, with `base` and `each` expanded."""

import re
from pathlib import Path
from typing import Any

from vidtune.plan.inherit import expand
from vidtune.plan.memory_rows import check_measured
from vidtune.spec import Paper, UserError, Variant, parse, read_yaml

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # of a variant: it becomes a folder's name


def read_paper(path: Path) -> Paper:
    """Read a paper with all its variants, in the order of the file."""
    raw = read_yaml(path)
    declared = raw.get("variants")
    if not isinstance(declared, dict):
        raise UserError(f"{path}: variants: expected a mapping of names to variants; add it")
    variants: dict[str, Any] = {}
    for key, one in expand(path, declared):
        if not re.fullmatch(NAME, key):
            raise UserError(
                f"{path}: variants.{key}: a name may hold letters, digits, dots, - and _ only"
            )
        if key in variants:
            raise UserError(f"{path}: variants.{key}: declared twice through `each`; rename one")
        variants[key] = {**one, "name": f"{path.stem}/{key}"}
    for key, one in variants.items():
        parse(Variant, one, path, ("variants", key))
    paper = parse(Paper, {**raw, "name": path.stem, "variants": variants}, path)
    _check_rows(path, paper)
    check_measured(path, paper)
    return paper


def _check_rows(path: Path, paper: Paper) -> None:
    """Every published row and claim names a variant or a cited system, never both."""
    known = {*paper.variants, *paper.cited}
    printed = {row for numbers in paper.numbers for row in numbers.rows}
    for row in paper.cited:
        if row in paper.variants:
            raise UserError(f"{path}: cited.{row}: a variant as well; drop one of the two")
        if row not in printed:
            raise UserError(
                f"{path}: cited.{row}: no table has this row; add its numbers or drop it"
            )
    for k, numbers in enumerate(paper.numbers):
        for row in numbers.rows:
            if row not in known:
                raise UserError(
                    f"{path}: numbers.{k}.rows.{row}: neither a variant nor a cited system; "
                    "declare it under variants or cited"
                )
    for name, claim in paper.claims.items():
        for test in claim.tests:
            for row in (*(test.best_first or ()), *filter(None, (test.of, test.against))):
                if row not in known:
                    raise UserError(
                        f"{path}: claims.{name}: {row!r} is neither a variant nor a cited system"
                    )
    _check_contradictions(path, paper)


def _check_contradictions(path: Path, paper: Paper) -> None:
    """The cells of a contradiction are published ones: a row, or a row and its metric."""
    cells = {
        name
        for numbers in paper.numbers
        for row, columns in numbers.rows.items()
        for name in (row, *(f"{row}/{metric}" for metric in columns))
    }
    for k, one in enumerate(paper.contradictions):
        for cell in one.cells:
            if cell not in cells:
                raise UserError(
                    f"{path}: contradictions.{k}.cells: {cell!r} is no published row or row/metric; "
                    "fix or drop it"
                )
