"""Strict parsing of specs and safe writing: bad input is one line with file, line and key."""

import json
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from vidtune.spec.errors import UserError
from vidtune.spec.names import PATTERNS
from vidtune.spec.regular_files import irregular
from vidtune.spec.yaml_files import place

M = TypeVar("M", bound=BaseModel)
ADD = "; add it"
UNION = re.compile(r"\[|^constrained-")  # what a place names a member of a union by


def parse(
    kind: type[M], data: Any, path: Path | str, keys: tuple[Any, ...] = (), again: str = ""
) -> M:
    """Validate `data` as a spec. Raises `UserError` with the file, line and key of the first error.

    `path` is its file, or as text where in a file it stands; `keys` is the place of `data` in it. Of a
    file that a job writes, `again` says how it is written again.
    """
    try:
        return kind.model_validate_json(json.dumps(data))
    except ValidationError as e:
        err = _telling(e.errors())
        loc = tuple(k for k in err["loc"] if not (isinstance(k, str) and UNION.search(k)))
        where = (*keys, *loc)
        key = ".".join(map(str, where))
        at = place(path, where) if isinstance(path, Path) else path
        says = _explain(kind, err)
        if again:
            says = f"{says.removesuffix(ADD)}; {again}"
        parts = filter(None, (at, key, says))
        raise UserError(": ".join(parts)) from None
    except (TypeError, ValueError) as e:
        raise UserError(f"{path}: {'.'.join(map(str, keys))}: {e}") from None


def _telling(errors: list[Any]) -> Any:
    """The error that says most: a misspelt key is both unknown and missing, and a value of a type that may
    be one of several is also none of the others."""
    first = min(errors, key=lambda one: one["type"] != "extra_forbidden")
    what = first["loc"][:-1], repr(first["input"])
    same = [one for one in errors if (one["loc"][:-1], repr(one["input"])) == what]
    return min(same, key=lambda one: one["type"].endswith("_type"))


def _explain(kind: type[BaseModel], err: Any) -> str:
    if err["type"] == "extra_forbidden":
        known = f"known keys: {', '.join(sorted(kind.model_fields))}"
        return f"unknown key; {known if len(err['loc']) == 1 else 'remove it or fix its name'}"
    if err["type"] == "missing":
        return f"missing{ADD}"
    if err["type"] == "value_error":
        return str(err["ctx"]["error"])
    shown = json.dumps(err["input"], default=str)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    if wanted := PATTERNS.get(err.get("ctx", {}).get("pattern")):
        return f"expected {wanted}; found {shown}"
    return f"{err['msg'][0].lower()}{err['msg'][1:]}; found {shown}"


def write_text(path: Path, text: str) -> None:
    """Write through a temporary name and rename, so that no reader sees half a file."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write bytes as `write_text` does. Raises `UserError` where the place is read-only or full, and where
    it is a link, a pipe or a device: no file takes its place."""
    name = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        check_target(path)
        fd, name = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path))
        with os.fdopen(fd, "wb") as f:
            f.write(data)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException as e:  # a signal's too
        if name and os.path.exists(name):
            os.unlink(name)
        if not isinstance(e, OSError):
            raise
        raise UserError(
            f"{path}: cannot write: {e.strerror}; choose another place or free some space"
        ) from None


def settle(*paths: Path) -> None:
    """Have files outlast a loss of power from here on, as far as their file system can."""
    for path in (*paths, *{path.parent for path in paths}):
        with suppress(OSError):
            fd = os.open(path, os.O_RDONLY)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


def check_target(path: Path) -> None:
    """Raise `UserError` where a link, a pipe, a device or a folder stands that a file would replace."""
    if os.path.lexists(path) and (kind := irregular(path.lstat().st_mode)):
        raise UserError(f"{path}: cannot write: it is {kind}; choose another place")


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
