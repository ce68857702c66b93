"""Strict reading and safe writing: bad input is one line that names file, line and key."""

import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


class UserError(ValueError):
    """Bad input: one line with file, key, what was expected and what to do (exit code 2)."""


class _Loader(yaml.SafeLoader):
    """YAML with two traps closed: duplicate keys are errors and 1e-3 is a number."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        line = key_node.start_mark.line + 1
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise UserError(
                f"{node.start_mark.name}:{line}: a key must be text; put {key!r} into quotes"
            )
        if key in seen:
            raise UserError(
                f"{node.start_mark.name}:{line}: {key}: declared twice (first on line {seen[key]}); "
                "rename or remove one"
            )
        seen[key] = line
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises `UserError` where it cannot be read or is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a readable YAML file") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not UTF-8; save the file as UTF-8") from None
    try:
        loader = _Loader(text)
        loader.name = str(path)
        data = loader.get_single_data()
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        place = f"{path}:{mark.line + 1}" if mark else f"{path}"
        problem = str(getattr(e, "problem", None) or e).splitlines()[0]
        raise UserError(f"{place}: not valid YAML: {problem}; fix that line") from None
    if not isinstance(data, dict):
        raise UserError(
            f"{path}: expected a mapping of keys to values at the top; found {_kind(data)}"
        )
    return data


def _kind(value: Any) -> str:
    return {type(None): "nothing", list: "a list", str: "text", dict: "a mapping"}.get(
        type(value), type(value).__name__
    )


def _line(path: Path, keys: tuple[Any, ...]) -> int | None:
    """The line of a key path in a YAML file, as deep as it can be followed."""
    try:
        node = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError):
        return None
    line = None
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            hit = [(k, v) for k, v in node.value if k.value == str(key)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
            hit = [(node.value[key], node.value[key])]
        else:
            break
        if not hit:
            break
        line, node = hit[0][0].start_mark.line + 1, hit[0][1]
    return line


def parse(kind: type[M], data: Any, path: Path, keys: tuple[Any, ...] = ()) -> M:
    """`data` as a noun; on bad input the first error as one line with file, line and key.

    `keys` is where `data` stands in the file.
    """
    try:
        return kind.model_validate_json(json.dumps(data))
    except ValidationError as e:
        # a misspelt key is both unknown and missing: the unknown one says more
        err = min(e.errors(), key=lambda one: one["type"] != "extra_forbidden")
        loc = tuple(k for k in err["loc"] if not (isinstance(k, str) and "[" in k))
        where = (*keys, *loc)
        line = _line(path, where) if path.suffix in {".yaml", ".yml"} else None
        place = f"{path}:{line}" if line else f"{path}"
        raise UserError(f"{place}: {'.'.join(map(str, where))}: {_explain(kind, err)}") from None
    except (TypeError, ValueError) as e:
        raise UserError(f"{path}: {'.'.join(map(str, keys))}: {e}") from None


def _explain(kind: type[BaseModel], err: Any) -> str:
    if err["type"] == "extra_forbidden":
        known = ", ".join(sorted(kind.model_fields)) if len(err["loc"]) == 1 else ""
        return "unknown key" + (
            f"; known keys: {known}" if known else "; remove it or fix its name"
        )
    if err["type"] == "missing":
        return "missing; add it"
    if err["type"] == "value_error":
        return str(err["ctx"]["error"])
    shown = json.dumps(err["input"], default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"{err['msg'][0].lower()}{err['msg'][1:]}; found {shown}"


def load_json(path: Path) -> Any:
    """A JSON file's content. Raises `UserError` where it is missing, unreadable or cut short."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise UserError(
            f"{path}: {e.strerror}; expected a results file; run the step that writes it"
        ) from None
    except (json.JSONDecodeError, UnicodeDecodeError) as e:
        raise UserError(f"{path}: not valid JSON ({e}); delete it and run again") from None


def write_text(path: Path, text: str) -> None:
    """Write through a temporary name and rename, so that no reader sees half a file."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """As `write_text`. Raises `UserError` where the place is read-only or full."""
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except OSError as e:
        if name and os.path.exists(name):
            os.unlink(name)
        raise UserError(
            f"{path}: cannot write: {e.strerror}; choose another place or free some space"
        ) from None


def write_json(path: Path, data: Any) -> None:
    """Write `data` (plain values or a noun) as sorted, indented JSON; see `write_text`."""
    write_text(path, dump(data))


def dump(data: Any) -> str:
    """Plain values or a noun as sorted, indented JSON."""
    if isinstance(data, BaseModel):
        data = data.model_dump(mode="json")
    return json.dumps(data, indent=1, sort_keys=True) + "\n"
