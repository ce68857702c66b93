"""Comparing the tensors of a file with those of a model."""

from collections.abc import Mapping

Shape = tuple[int, ...]
NAMED = 3  # keys of each kind that a message names


def difference(expected: Mapping[str, Shape], found: Mapping[str, Shape]) -> str | None:
    """How two sets of named shapes differ, in one line; None where they are equal."""
    missing = sorted(expected.keys() - found.keys())
    unexpected = sorted(found.keys() - expected.keys())
    other = sorted(k for k in expected.keys() & found.keys() if expected[k] != found[k])
    shapes = [f"{k} (expected {expected[k]}, found {found[k]})" for k in other]
    parts = [
        _some("missing", [f"{k} {expected[k]}" for k in missing]),
        _some("unexpected", [f"{k} {found[k]}" for k in unexpected]),
        _some("of another shape", shapes),
    ]
    return "; ".join(p for p in parts if p) or None


def _some(kind: str, keys: list[str]) -> str:
    if not keys:
        return ""
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return f"{len(keys)} {kind}: {', '.join(keys[:NAMED])}{more}"
