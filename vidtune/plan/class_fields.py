"""The lines on which a class declares its fields, with the comments there."""

import ast
import inspect
from functools import cache
from pathlib import Path

from vidtune.spec.yaml_files import Place

ROOT = Path(__file__).parents[2]


@cache
def field_places(cls: type) -> dict[str, Place]:
    """Field -> where the class declares it, with the comments above and after it."""
    path = Path(inspect.getfile(cls))
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    body = next(
        node.body
        for node in ast.parse(text).body
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__
    )
    out = {}
    for node in body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = []
            for line in reversed(lines[: node.lineno - 1]):
                if not line.strip().startswith("#"):
                    break
                above.insert(0, line.strip().lstrip("# "))
            code = lines[(node.end_lineno or node.lineno) - 1].encode()[node.end_col_offset :]
            after = code.decode().strip().lstrip("# ")
            comment = " ".join(filter(None, [*above, after]))
            out[node.target.id] = Place(f"{path.relative_to(ROOT)}:{node.lineno}", comment)
    return out
