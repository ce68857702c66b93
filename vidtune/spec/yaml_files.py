"""YAML files: strict reading, and the line on which each value stands."""

import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vidtune.spec.errors import UserError


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Rejects duplicate keys and keys that are no text; reads 1e-3 as a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: dict[str, int] = {}
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise UserError(f"{line}: a key must be text; put {key!r} into quotes")
        if key in seen:
            raise UserError(
                f"{line}: {key}: declared twice (first on line {seen[key]}); rename or remove one"
            )
        seen[key] = line
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


class Place(NamedTuple):
    """`where` is "path:line"; `says` is the comment there, "" where there is none."""

    where: str
    says: str


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `UserError` where it cannot be read or is no mapping."""
    text = read_text(path)
    try:
        data = _Loader(text).get_single_data()
    except UserError as e:
        raise UserError(f"{path}:{e}") from None
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        problem = str(getattr(e, "problem", None) or e).splitlines()[0]
        raise UserError(f"{place}: not valid YAML: {problem}; fix that line") from None
    if not isinstance(data, dict):
        kinds = {type(None): "nothing", list: "a list", str: "text"}
        kind = kinds.get(type(data), type(data).__name__)
        raise UserError(f"{path}: expected a mapping of keys to values at the top; found {kind}")
    return data


def read_text(path: Path, expected: str = "expected a readable YAML file") -> str:
    """The text of a file. Raises `UserError`, which says what is `expected`, where it has none."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; {expected}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8; save the file as UTF-8") from None


def places(path: Path) -> dict[tuple[str | int, ...], Place]:
    """Key path -> where its value stands, of a file that `read_yaml` accepts."""
    return _places(path, read_text(path))


@cache
def _places(path: Path, text: str) -> dict[tuple[str | int, ...], Place]:
    lines = [*text.splitlines(), ""]
    out: dict[tuple[str | int, ...], Place] = {}

    def walk(node: yaml.Node, keys: tuple[str | int, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            pairs = [(key.value, key, value) for key, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            pairs = [(k, value, value) for k, value in enumerate(node.value)]
        else:
            return
        for name, key, value in pairs:
            plain = isinstance(value, yaml.ScalarNode) or value.flow_style
            end = value.end_mark if plain else key.end_mark
            rest = lines[end.line][end.column :].lstrip(": ")
            comment = rest[1:].strip() if rest.startswith("#") else ""
            out[*keys, name] = Place(f"{path}:{key.start_mark.line + 1}", comment)
            walk(value, (*keys, name))

    walk(yaml.compose(text, Loader=_Loader), ())
    return out


def place(path: Path, keys: tuple[Any, ...]) -> str:
    """ "path:line" of a key path in a YAML file, as deep as it can be followed; else "path"."""
    if path.suffix not in {".yaml", ".yml"}:
        return f"{path}"
    try:
        known = places(path)
    except (UserError, yaml.YAMLError):
        return f"{path}"
    deepest = (known[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in known)
    return next((one.where for one in deepest), f"{path}")
