"""Files as they are read: regular ones of a bounded size. A pipe or a device would never end."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from vidtune.spec.errors import UserError

MOST = 1 << 30  # bytes; the largest list of captions has a tenth of it
KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def irregular(mode: int) -> str | None:
    """What a file of this mode is; None: a regular one."""
    return KINDS.get(stat.S_IFMT(mode))


@contextmanager
def opened(path: Path, expected: str = "expected a readable file") -> Iterator[BinaryIO]:
    """A file to be read, of any size; else as `read_bytes`."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # else a pipe is waited for
        try:
            if kind := irregular(os.fstat(fd).st_mode):
                raise UserError(f"{path}: {kind}; {expected}")
            with open(fd, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(fd)
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; {expected}") from None


def read_bytes(
    path: Path, expected: str = "expected a readable file", most: int | None = None
) -> bytes:
    """A file's content. Raises `UserError`, which says what is `expected`, where it is absent, cannot be
    read, is no regular file, or has more than `most` bytes."""
    most = MOST if most is None else most
    with opened(path, expected) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise UserError(f"{path}: more than {most:,} bytes; {expected}")
        return file.read(most)


def read_text(
    path: Path,
    expected: str = "expected a readable file",
    most: int | None = None,
    advice: str = "save the file as UTF-8",
) -> str:
    """A file's text, in UTF-8; else as `read_bytes`."""
    data = read_bytes(path, expected, most)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise UserError(f"{path}:{line}: not UTF-8; {advice}") from None
