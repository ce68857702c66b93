"""The methods and their options, without torch.

The folders of `vidtune/methods` are the registry: one that holds `options.py` and `model.py` is a
method. Only `options.py` is imported, which imports no torch: nothing that plans, lists or reports
may wait for torch.
"""

import importlib
from functools import cache
from pathlib import Path
from typing import Any, get_args

from vidtune.spec import Model, Options, UserError, parse
from vidtune.spec.method_options import Mark

METHODS = Path(__file__).parent.parent / "methods"
TEMPLATE = "template"  # to be copied; no method


def method_names() -> list[str]:
    """The methods of this repository, sorted."""
    folders = (p.parent for p in METHODS.glob("*/options.py"))
    return sorted(f.name for f in folders if f.name != TEMPLATE and (f / "model.py").is_file())


@cache
def options_class(method: str) -> type[Options]:
    """The `Options` class of a method. Raises `UserError` for an unknown method."""
    path = METHODS / method / "options.py"
    if method not in method_names():
        raise UserError(f"{path}: no such method; known methods: {', '.join(method_names())}")
    module = importlib.import_module(f"vidtune.methods.{method}.options")
    if not hasattr(module, "Options"):
        raise UserError(f"{path}: expected a class named Options; add it")
    return module.Options


def options_of(model: Model) -> Options:
    """A model's options over its method's defaults, validated."""
    return parse(options_class(model.method), model.options, Path(model.name), ("options",))


def resolve(
    method: str, given: dict[str, Any], path: Path, keys: tuple[Any, ...]
) -> dict[str, Any]:
    """The given options over the method's defaults, validated; `keys` is their place in `path`."""
    return parse(options_class(method), given, path, keys).model_dump(mode="json")


def marks(cls: type[Options]) -> dict[str, Mark]:
    """Field -> how a scale maps it: depth, layers, width, tokens or joins."""
    return {
        name: mark
        for name, field in cls.model_fields.items()
        for mark in field.metadata
        if mark in get_args(Mark)
    }
