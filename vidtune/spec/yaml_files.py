"""YAML files: strict reading of plain values, and the line on which each stands."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import yaml

from vidtune.spec.errors import UserError
from vidtune.spec.regular_files import read_text

MOST = 4 << 20  # bytes of a file
DEEPEST = 32  # lists and mappings within each other, aliases followed
VALUES = 200_000  # of a file, aliases followed
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
# What is no text without quotes. YAML 1.1 takes dates, 010 and 1:30 for numbers besides.
PLAIN = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (
        "|".join(
            f"{w}|{w.title()}|{w.upper()}" for w in ("yes", "no", "true", "false", "on", "off")
        ),
        list("yYnNtTfFoO"),
    ),
    "int": (r"[-+]?(0|[1-9][0-9]{0,17})", list("-+0123456789")),
    "float": (
        r"[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Rejects duplicate keys and keys that are no text; knows the plain values of `PLAIN` alone."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}


for _kind, (_pattern, _first) in PLAIN.items():
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"^(?:{_pattern})$"), _first
    )


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    seen: dict[str, int] = {}
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise UserError(f"{line}: a key must be text; put {key!r} into quotes")
        if key == "<<":
            raise UserError(f"{line}: <<: keys are not merged; write them out, or give a base")
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


@dataclass
class _Open:
    """A list or mapping whose end is not reached."""

    anchor: str | None
    size: int = 1  # values, with itself
    depth: int = 0  # of the deepest value in it


def _check_events(text: str) -> None:
    """Raise `UserError` ("line: ...") for tags, control characters, and values that are too many or too
    deep, before any of them is made: aliases of aliases may stand for more than a machine can hold."""
    known: dict[str, tuple[int, int]] = {}  # anchor -> values, depth
    stack: list[_Open] = []
    for event in yaml.parse(text, Loader=_Loader):
        line, depth, anchor = event.start_mark.line + 1, 0, getattr(event, "anchor", None)
        if tag := getattr(event, "tag", None):
            raise UserError(f"{line}: {tag}: values have no tags here; drop it")
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(anchor))
            if len(stack) > DEEPEST:
                raise UserError(f"{line}: {_too_deep()}")
            continue
        if isinstance(event, yaml.ScalarEvent):
            size = 1
            if CONTROL.search(event.value):
                raise UserError(f"{line}: a control character in {event.value[:40]!r}; drop it")
        elif isinstance(event, yaml.AliasEvent):
            if anchor not in known:
                raise UserError(f"{line}: *{anchor}: stands for nothing that ends above; fix it")
            size, depth = known[anchor]
            anchor = None
        elif isinstance(event, yaml.CollectionEndEvent):
            ended = stack.pop()
            anchor, size, depth = ended.anchor, ended.size, 1 + ended.depth
        else:
            continue
        if anchor:
            known[anchor] = size, depth
        if stack:
            top = stack[-1]
            top.size, top.depth = top.size + size, max(top.depth, depth)
            if len(stack) + depth > DEEPEST:
                raise UserError(f"{line}: {_too_deep()}")
            if top.size > VALUES:
                raise UserError(
                    f"{line}: more than {VALUES:,} values with aliases followed; drop some"
                )


def _too_deep() -> str:
    return f"more than {DEEPEST} lists and mappings within each other; flatten them"


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `UserError` where it cannot be read or is no mapping."""
    text = _read(path)
    try:
        _check_events(text)
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


def read_value(text: str, where: str) -> Any:
    """The value of a word. Raises `UserError`, which begins with `where`, if there is none."""
    try:
        _check_events(text)
        return _Loader(text).get_single_data()
    except (UserError, yaml.YAMLError):
        raise UserError(f"{where}: expected a value as YAML has it; found {text[:80]!r}") from None


def _read(path: Path) -> str:
    return read_text(path, "expected a readable YAML file", MOST)


def places(path: Path) -> dict[tuple[str | int, ...], Place]:
    """Key path -> where its value stands, of a file that `read_yaml` accepts."""
    return _places(path, _read(path))


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
