"""Shards of a stage: every n-th clip of a dataset, done by a process of its own, on any machine.

A shard keeps what it has done in `shards/<stage>-<k>of<n>.jsonl`, a line a clip. The whole stage takes
these lines for those of an earlier run of its own, does what is left, and deletes them. So what comes out
does not depend on how a dataset was cut, nor on shards that failed or never ran.
"""

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from vidtune.datasets.json_lines import Entry, complete_lines
from vidtune.spec.read import M

X = TypeVar("X")


class Shard(NamedTuple):
    """One of several, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def take(self, items: Iterable[X]) -> list[X]:
        """Its share of a dataset's items, which all shards know in the same order."""
        return list(items)[self.number - 1 :: self.of]

    def file(self, root: Path, stage: str) -> Path:
        """Where it keeps what it has done."""
        return _folder(root) / f"{stage}-{self.number}of{self.of}.jsonl"

    def lock(self, root: Path, stage: str) -> Path:
        """What lets one process at a time work on it."""
        return self.file(root, stage).with_suffix(".lock")


def _folder(root: Path) -> Path:
    return root / "shards"


def kept(root: Path, stage: str, kind: type[M], whole: Path | None = None) -> dict[str, Entry]:
    """What the whole stage keeps in its file `whole`, and its shards in theirs, each line as its model
    `kind`, by `id`."""
    entries = complete_lines(whole, kind) if whole else {}
    for path in sorted(_folder(root).glob(f"{stage}-*.jsonl")):
        entries |= complete_lines(path, kind)
    return entries


def forget(root: Path, stage: str) -> None:
    """Delete what the shards of a stage have kept, once the whole stage has it."""
    for path in _folder(root).glob(f"{stage}-*"):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # another stage's are there, or none ever was
        _folder(root).rmdir()
