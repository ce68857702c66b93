"""Where a value is written: file and line, with the comment that stands beside it.

YAML files by key path; classes (a method's `Options`, a noun) by field.
"""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Place(NamedTuple):
    """`where` is "path:line", `says` the comment there, "" where there is none."""

    where: str
    says: str


@cache
def in_yaml(path: Path) -> dict[tuple[str, ...], Place]:
    """Key path -> where the value stands, of a file that can be read."""
    text = path.read_text(encoding="utf-8")
    out: dict[tuple[str, ...], Place] = {}
    lines = text.splitlines()

    def walk(node: yaml.Node, keys: tuple[str, ...]) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            line = key.start_mark.line
            plain = isinstance(value, yaml.ScalarNode) or value.flow_style
            end = value.end_mark if plain else key.end_mark
            rest = lines[end.line][end.column :].lstrip(": ")
            says = rest[1:].strip() if rest.startswith("#") else ""
            out[*keys, key.value] = Place(f"{path}:{line + 1}", says)
            walk(value, (*keys, key.value))

    node = yaml.compose(text, Loader=_LOADER)
    walk(node, ())
    return out


@cache
def in_class(path: Path, name: str) -> dict[str, Place]:
    """Field -> where a class declares it, with the comment above and behind it."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    body = next(
        node.body
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and node.name == name
    )
    shown = path.relative_to(Path(__file__).parents[2])
    out = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.strip().startswith("#"):
                    break
                above.insert(0, line.strip().lstrip("# "))
            code = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset :]
            behind = code.decode().strip().lstrip("# ")
            says = " ".join(filter(None, [*above, behind]))
            out[node.target.id] = Place(f"{shown}:{node.lineno}", says)
    return out
