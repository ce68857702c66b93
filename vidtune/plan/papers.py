"""`config/papers/<paper>.yaml` -> Paper: `base` chains and `each` products expanded."""

import itertools
import re
from pathlib import Path
from typing import Any

from vidtune.spec import Paper, UserError, Variant, parse, read_yaml

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"  # it becomes a folder's name


def read_paper(path: Path) -> Paper:
    """A paper with all its variants, in the order of the file."""
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
    return paper


def expand(path: Path, declared: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, fields) of every variant, without `base` and `each`."""
    plain: dict[str, dict[str, Any]] = {}
    out = []
    for template, fields in declared.items():
        fields = resolve_base(path, "variants", declared, template)
        for name, one in _each(path, template, fields):
            plain[name] = one
            out.append((name, one))
    return out


def resolve_base(
    path: Path, section: str, declared: dict[str, Any], name: str, seen: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Fields of an entry over those of its `base`. Options are inherited with the method only.

    Raises `UserError` for a cycle, a base that is not declared, or an entry that is no mapping.
    """
    fields = declared[name]
    here = f"{path}: {section}.{name}"
    if not isinstance(fields, dict):
        raise UserError(f"{here}: expected a mapping; found {type(fields).__name__}")
    base = fields.get("base")
    if base is None:
        return dict(fields)
    if not isinstance(base, str):
        raise UserError(f"{here}.base: expected one name; found {base!r}")
    if base in (*seen, name):
        chain = " -> ".join([*seen, name, base])
        raise UserError(f"{here}.base: cycle {chain}; let one of them stand on its own")
    if base not in declared:
        raise UserError(
            f"{here}.base: {base!r} is not declared in this file; known: {', '.join(declared)}"
        )
    under = resolve_base(path, section, declared, base, (*seen, name))
    if "each" in under:
        raise UserError(f"{here}.base: {base!r} stands for several variants; name a single one")
    if "method" in fields and fields["method"] != under.get("method"):
        under.pop("options", None)
    merged = {**under, **{k: v for k, v in fields.items() if k != "base"}}
    if isinstance(under.get("options"), dict) and isinstance(fields.get("options"), dict):
        merged["options"] = {**under["options"], **fields["options"]}
    for own in ("label", "note", "fitted"):
        if own not in fields:
            merged.pop(own, None)
    return merged


def _each(path: Path, template: str, fields: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The product of `each`: a key that is a variant's field sets it, any other an option."""
    each = fields.pop("each", None)
    if each is None:
        return [(template, fields)]
    here = f"{path}: variants.{template}.each"
    if not isinstance(each, dict) or not all(isinstance(v, list) and v for v in each.values()):
        raise UserError(f"{here}: expected a mapping of keys to lists of values")
    missing = [k for k in each if f"{{{k}}}" not in template]
    if missing or set(re.findall(r"{(\w+)}", template)) - set(each):
        raise UserError(f"{here}: the name must hold exactly its keys, as in name-{{key}}")
    if not isinstance(fields.get("options", {}), dict):
        raise UserError(f"{path}: variants.{template}.options: expected a mapping")
    out = []
    for values in itertools.product(*each.values()):
        chosen = dict(zip(each, values, strict=True))
        top = {k: v for k, v in chosen.items() if k in Variant.model_fields}
        options = {k: v for k, v in chosen.items() if k not in Variant.model_fields}
        one = {**fields, **top, "options": {**fields.get("options", {}), **options}}
        try:
            if isinstance(one.get("label"), str):
                one["label"] = one["label"].format(**chosen)
            out.append((template.format(**chosen), one))
        except (KeyError, ValueError, IndexError):
            raise UserError(f"{here}: name and label may hold only {{key}} of its keys") from None
    return out


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
        for row, found in numbers.rows.items()
        for name in (row, *(f"{row}/{metric}" for metric in found))
    }
    for k, one in enumerate(paper.contradictions):
        for cell in one.cells:
            if cell not in cells:
                raise UserError(
                    f"{path}: contradictions.{k}.cells: {cell!r} is no published row or row/metric; "
                    "fix or drop it"
                )
