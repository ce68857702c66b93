"""Result files as the report trusts them: readable, whole, made by today's code or marked."""

from pathlib import Path
from typing import Any

from vidtune.spec import UserError, load_json


def checked(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """A results file with the keys a reader needs, or one clear line."""
    return having(path, load_json(path), keys)


def having(path: Path, data: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    """A part of a results file with the keys a reader needs, or one clear line."""
    if not isinstance(data, dict):
        raise UserError(f"{path}: expected an object; delete the file and run again")
    missing = [k for k in keys if k not in data]
    if missing:
        raise UserError(f"{path}: {missing[0]}: missing; delete the file and run again")
    return data


def stale(stamp: dict[str, Any], fresh: tuple[str, str]) -> bool:
    """Whether a result was made by other code, or of another spec, than today's."""
    return bool(stamp) and (stamp.get("digest"), stamp.get("spec")) != fresh
