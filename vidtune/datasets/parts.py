"""Archives that are published in parts: the parts as one stream, straight out of outer archives."""

import io
import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from vidtune.datasets.archives import CHUNK, Member, Torn, check_named, kind, safe, tar


@dataclass(frozen=True)
class Part:
    """One of the files that together are an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def joined(paths: Sequence[Path], pattern: str) -> Iterator[Member]:
    """Of the archive whose parts, named like `pattern`, are these files or lie in these zip files.

    Raises as `members`, and `Torn` where a part is missing.
    """
    with ExitStack() as stack:
        parts: list[Part] = []
        for path in paths:
            if PurePosixPath(path.name).match(pattern):
                parts.append(Part(path.name, path.stat().st_size, partial(path.open, "rb")))
                continue
            check_named(path)
            if kind(path) == "zip":
                parts += _parts(stack.enter_context(zipfile.ZipFile(path)), pattern)
        parts.sort(key=lambda p: p.name)
        _check_parts(parts, pattern)
        with io.BufferedReader(_Chain(parts), CHUNK) as f:
            yield from tar(f, sum(p.size for p in parts))


def _parts(archive: zipfile.ZipFile, pattern: str) -> list[Part]:
    found = [(safe(info.filename), info) for info in archive.infolist() if not info.is_dir()]
    return [
        Part(path.name, info.compress_size, partial(archive.open, info))
        for path, info in found
        if path and path.match(pattern)
    ]


def _check_parts(parts: list[Part], pattern: str) -> None:
    """Parts count on from the first one, without a gap."""
    if not parts:
        raise Torn(f"has no part named {pattern}")
    names = [p.name for p in parts]
    ends = [re.search(r"(\d+)\D*$", name) for name in names]
    numbers = [int(m[1]) for m in ends if m]
    first = numbers[0] if numbers else 0
    if len(numbers) == len(parts) and (
        first > 1 or numbers != list(range(first, first + len(parts)))
    ):
        raise Torn(f"a part is missing or there twice: found {', '.join(names)}")


class _Chain(io.RawIOBase):
    """Parts as one stream."""

    def __init__(self, parts: list[Part]) -> None:
        self.parts = iter(parts)
        self.now: IO[bytes] | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            if self.now is None:
                part = next(self.parts, None)
                if part is None:
                    return 0
                self.now = part.open()
            data = self.now.read(len(buffer))
            if data:
                buffer[: len(data)] = data
                return len(data)
            self.now.close()
            self.now = None

    def close(self) -> None:
        if self.now is not None:
            self.now.close()
        super().close()
