"""Reads an archive that is published in parts, straight from the files or zips that hold them."""

import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from vidtune.datasets.archives import (
    Member,
    Torn,
    archive_form,
    tar_members,
    zip_members,
)


def joined_members(paths: Sequence[Path], pattern: str) -> Iterator[Member]:
    """The files of the one archive whose parts are named like `pattern`.

    `paths` are the parts, or zips with the parts inside. Raises as `archives.members`, and `Torn`
    where a part is missing.
    """
    size = sum(path.stat().st_size for path in paths)
    with ExitStack() as stack:
        parts: list[Member] = []
        for path in paths:
            name = PurePosixPath(path.name)
            if name.match(pattern):
                parts.append(Member(name, path.stat().st_size, partial(path.open, "rb")))
            elif archive_form(path) == "zip":
                outer = stack.enter_context(zipfile.ZipFile(path))
                parts += [m for m in zip_members(outer, size) if m.path.match(pattern)]
        parts.sort(key=lambda part: part.path.name)
        _check_complete([part.path.name for part in parts], pattern)
        with parts[0].open() as first:
            head = first.read(512)
        chain = _Chain(stack.enter_context(part.open()) for part in parts)
        yield from tar_members(chain, head, size)


def _check_complete(names: list[str], pattern: str) -> None:
    """Raises `Torn` unless the numbers in the names count from 0 or 1 without a gap."""
    if not names:
        raise Torn(f"has no part named {pattern}")
    numbers = [int(m[1]) for name in names if (m := re.search(r"(\d+)\D*$", name))]
    if len(numbers) == len(names):
        first = numbers[0]
        if first > 1 or numbers != list(range(first, first + len(names))):
            raise Torn(f"a part is missing or there twice: found {', '.join(names)}")


class _Chain:
    """Files read one after the other, as if they were one."""

    def __init__(self, files: Iterator[IO[bytes]]) -> None:
        self.files, self.file = files, next(files)

    def read(self, size: int = -1) -> bytes:
        while not (data := self.file.read(size)):
            following = next(self.files, None)
            if following is None:
                break
            self.file = following
        return data
