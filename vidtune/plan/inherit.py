"""What entries of a config file inherit: `base` chains and `each` products."""

import itertools
import re
from pathlib import Path
from typing import Any

from vidtune.spec import UserError, Variant

OWN = ("label", "note", "fitted")  # fields that are not inherited


def bases(path: Path, section: str, declared: dict[str, Any], name: str) -> list[str]:
    """An entry, its base, the base of its base, and so on.

    Raises `UserError` for a cycle, a base that is not declared, or an entry that is no mapping.
    """
    chain = [name]
    while True:
        fields, where = declared[chain[-1]], f"{path}: {section}.{chain[-1]}"
        if not isinstance(fields, dict):
            raise UserError(f"{where}: expected a mapping; found {type(fields).__name__}")
        if "base" not in fields:
            return chain
        base = fields["base"]
        if not isinstance(base, str):
            raise UserError(f"{where}.base: expected one name; found {base!r}")
        if base in chain:
            cycle = " -> ".join([*chain, base])
            raise UserError(f"{where}.base: cycle {cycle}; let one of them stand on its own")
        if base not in declared:
            known = ", ".join(declared)
            raise UserError(f"{where}.base: {base!r} is not declared in this file; known: {known}")
        chain.append(base)


def resolve_base(path: Path, section: str, declared: dict[str, Any], name: str) -> dict[str, Any]:
    """The fields of an entry over those of its bases; options only where the method is the same."""
    out: dict[str, Any] = {}
    for entry in reversed(bases(path, section, declared, name)):
        fields = dict(declared[entry])
        base = fields.pop("base", None)
        if "each" in out:
            problem = f"{base!r} stands for several variants; name a single one"
            raise UserError(f"{path}: {section}.{entry}.base: {problem}")
        if "method" in fields and fields["method"] != out.get("method"):
            out.pop("options", None)
        if isinstance(out.get("options"), dict) and isinstance(fields.get("options"), dict):
            fields["options"] = {**out["options"], **fields["options"]}
        out = {key: value for key, value in out.items() if key not in OWN} | fields
    return out


def expand(path: Path, template: str, fields: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Expand the product of `each`: a key that is a variant's field sets it, any other an option."""
    if "each" not in fields:
        return [(template, fields)]
    each = fields.pop("each")
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
