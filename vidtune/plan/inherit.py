"""What entries of a config file inherit: `base` chains and `each` products."""

import itertools
import re
from pathlib import Path
from typing import Any

from vidtune.spec import UserError, Variant

OWN = ("label", "note", "fitted")  # fields that are not inherited


def expand(path: Path, declared: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(name, fields) of every variant, without `base` and `each`."""
    return [
        one
        for template in declared
        for one in _each(path, template, resolve_base(path, "variants", declared, template))
    ]


def resolve_base(
    path: Path, section: str, declared: dict[str, Any], name: str, seen: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The fields of an entry over those of its `base`; options only where the method is the same.

    Raises `UserError` for a cycle, a base that is not declared, or an entry that is no mapping.
    """
    fields = declared[name]
    where = f"{path}: {section}.{name}"
    if not isinstance(fields, dict):
        raise UserError(f"{where}: expected a mapping; found {type(fields).__name__}")
    base = fields.get("base")
    if base is None:
        return dict(fields)
    if not isinstance(base, str):
        raise UserError(f"{where}.base: expected one name; found {base!r}")
    if base in (*seen, name):
        chain = " -> ".join([*seen, name, base])
        raise UserError(f"{where}.base: cycle {chain}; let one of them stand on its own")
    if base not in declared:
        raise UserError(
            f"{where}.base: {base!r} is not declared in this file; known: {', '.join(declared)}"
        )
    under = resolve_base(path, section, declared, base, (*seen, name))
    if "each" in under:
        raise UserError(f"{where}.base: {base!r} stands for several variants; name a single one")
    if "method" in fields and fields["method"] != under.get("method"):
        under.pop("options", None)
    merged = {**under, **{k: v for k, v in fields.items() if k != "base"}}
    if isinstance(under.get("options"), dict) and isinstance(fields.get("options"), dict):
        merged["options"] = {**under["options"], **fields["options"]}
    for own in OWN:
        if own not in fields:
            merged.pop(own, None)
    return merged


def _each(path: Path, template: str, fields: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Expand the product of `each`: a key that is a variant's field sets it, any other an option."""
    each = fields.pop("each", None)
    if each is None:
        return [(template, fields)]
    where = f"{path}: variants.{template}.each"
    if not isinstance(each, dict) or not all(isinstance(v, list) and v for v in each.values()):
        raise UserError(f"{where}: expected a mapping of keys to lists of values")
    missing = [k for k in each if f"{{{k}}}" not in template]
    if missing or set(re.findall(r"{(\w+)}", template)) - set(each):
        raise UserError(f"{where}: the name must hold exactly its keys, as in name-{{key}}")
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
            raise UserError(f"{where}: name and label may hold only {{key}} of its keys") from None
    return out
