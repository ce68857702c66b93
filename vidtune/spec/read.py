"""Strict parsing of specs and safe writing: bad input is one line with file, line and key."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vidtune.spec.errors import UserError
from vidtune.spec.yaml_files import place

M = TypeVar("M", bound=BaseModel)


def parse(kind: type[M], data: Any, path: Path, keys: tuple[Any, ...] = ()) -> M:
    """Validate `data` as a spec. Raises `UserError` with the file, line and key of the first error.

    `keys` is the place of `data` in the file.
    """
    try:
        return kind.model_validate_json(json.dumps(data))
    except ValidationError as e:
        # a misspelt key is both unknown and missing: the unknown one says more
        err = min(e.errors(), key=lambda one: one["type"] != "extra_forbidden")
        loc = tuple(k for k in err["loc"] if not (isinstance(k, str) and "[" in k))
        where = (*keys, *loc)
        key = ".".join(map(str, where))
        parts = filter(None, (place(path, where), key, _explain(kind, err)))
        raise UserError(": ".join(parts)) from None
    except (TypeError, ValueError) as e:
        raise UserError(f"{path}: {'.'.join(map(str, keys))}: {e}") from None


def _explain(kind: type[BaseModel], err: Any) -> str:
    if err["type"] == "extra_forbidden":
        known = f"known keys: {', '.join(sorted(kind.model_fields))}"
        return f"unknown key; {known if len(err['loc']) == 1 else 'remove it or fix its name'}"
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
    """Write bytes as `write_text` does. Raises `UserError` where the place is read-only or full."""
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path))
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


def unfinished(path: Path) -> list[Path]:
    """The temporary files of writers of `path` that were killed, or that are still at it."""
    try:
        return [p for p in path.parent.iterdir() if p.name.startswith(_prefix(path))]
    except FileNotFoundError:
        return []


def _prefix(path: Path) -> str:
    return f".{path.name}."


def write_json(path: Path, data: Any) -> None:
    """Write `data` (plain values or a spec) as sorted, indented JSON; see `write_text`."""
    write_text(path, dump(data))


def dump(data: Any) -> str:
    """Plain values or a spec as sorted, indented JSON."""
    if isinstance(data, BaseModel):
        data = data.model_dump(mode="json")
    return json.dumps(data, indent=1, sort_keys=True) + "\n"
