"""A method's options without torch: only the `Options` class of its file is evaluated.

`vidtune/methods/<name>.py` stays the single declaration of a method; importing it would import
torch, which nothing that plans, lists or reports may pay for.
"""

import ast
import typing
from functools import cache
from pathlib import Path
from typing import Any

import pydantic

from vidtune import spec
from vidtune.spec import Options, UserError

METHODS = Path(__file__).parent.parent / "methods"
_NAMES = {
    **{name: getattr(spec, name) for name in spec.__all__},
    **{name: getattr(typing, name) for name in ("Annotated", "ClassVar", "Literal")},
    "Field": pydantic.Field,
    "spec": spec,
}


def method_names() -> list[str]:
    """The methods there are: the files of the folder."""
    return sorted(p.stem for p in METHODS.glob("*.py") if not p.stem.startswith("_"))


@cache
def options_class(method: str) -> type[Options]:
    """The `Options` class of a method. Raises `UserError` for an unknown method."""
    path = METHODS / f"{method}.py"
    if not path.is_file():
        raise UserError(f"{path}: no such method; known methods: {', '.join(method_names())}")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    body = [n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Options"]
    if len(body) != 1:
        raise UserError(f"{path}: expected one class named Options; add it")
    scope = {"__name__": f"vidtune.methods.{method}", **_NAMES}
    try:
        exec(compile(ast.Module(body, []), str(path), "exec"), scope)
    except NameError as e:
        raise UserError(
            f"{path}: Options must read on its own: {e}; use vidtune.spec's, typing's names and Field"
        ) from None
    return scope["Options"]


def marks(cls: type[Options]) -> dict[str, str]:
    """Field -> how a scale maps it: depth, layers, width or tokens."""
    known = {"depth", "layers", "width", "tokens"}
    return {
        name: mark
        for name, field in cls.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, str) and mark in known
    }


def resolve(
    method: str, given: dict[str, Any], path: Path, keys: tuple[Any, ...]
) -> dict[str, Any]:
    """The given options over the method's defaults, validated; `keys` is their place in `path`."""
    return spec.parse(options_class(method), given, path, keys).model_dump(mode="json")
