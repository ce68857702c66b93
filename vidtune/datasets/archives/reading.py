"""Read the files of a zip or tar archive one by one, and refuse what is unsafe to write.

An archive may be published in parts, which are read as one stream where they are.

An archive is judged by its content, not by its name. It is refused as a whole for an absolute path,
a path with .., a link, a device, a name that this program uses, more than `FILES` files, or more than
`RATIO` times its own bytes (a bomb), and where it is damaged or cut short. A name that is only unusual
is none of these. Python's own data filter is more lenient: it strips a leading slash and lets links
through that stay inside.
"""

import bz2
import errno
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

from vidtune.datasets.archives.errors import Torn, Unsafe
from vidtune.datasets.archives.tar_headers import Header

FILES = 20_000_000  # Something-Something V1 has 11 million frames
RATIO = 100  # bytes that one byte may become: lists of captions reach 10, videos 1
FLOOR = 64 << 20  # bytes that any archive may hold
BLOCK = 512  # bytes of a tar header
HIDDEN = ".extracting-"  # begins the names that vidtune/datasets/extract.py uses meanwhile
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\\]")
CHUNK = 1 << 20  # bytes read at once
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
UTF8 = 0x800  # the flag of a zip's name that says so
OPENERS: dict[bytes, Callable[[Any], IO[bytes]]] = {  # by the first bytes of a compressed tar
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".7z", ".rar", ".zst")
# What Python raises for a damaged archive; gzip and bz2 raise an OSError without a number as well.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, struct.error)
DAMAGE += (ValueError, OverflowError)  # sizes, places and texts that cannot be


@dataclass(frozen=True)
class Member:
    """One file of an archive."""

    path: PurePosixPath  # relative, without ..
    size: int  # bytes
    open: Callable[[], IO[bytes]]


def members(path: Path) -> Iterator[Member]:
    """The files of an archive; another file is its own only member.

    Raises `Unsafe`, `Torn`, `OSError`, and what `damage_as_torn` translates.
    """
    size = path.stat().st_size
    if archive_form(path) == "zip":
        with zipfile.ZipFile(path) as archive:
            yield from zip_members(archive, size)
    elif archive_form(path) == "tar":
        with path.open("rb") as f:
            yield from tar_members(f, first_bytes(path), size)
    else:
        name = safe_path(path.name)
        assert name is not None
        yield Member(name, size, partial(path.open, "rb"))


def first_bytes(path: Path) -> bytes:
    with path.open("rb") as f:
        return f.read(512)


def archive_form(path: Path) -> Literal["zip", "tar"] | None:
    """The form of an archive by its first bytes; a tar may be compressed. None: no archive.

    Raises `Torn` where only the name is an archive's: an error page.
    """
    head = first_bytes(path)
    if head.startswith(ZIP):
        return "zip"
    if head.startswith(tuple(OPENERS)) or head[257:262] == b"ustar":
        return "tar"
    if path.name.lower().endswith(SUFFIXES):
        raise Torn(f"is no zip or tar archive: it begins with {head[:24]!r}")
    return None


def safe_path(name: str) -> PurePosixPath | None:
    """The path of a member; None for what macOS adds and for a folder. Raises `Unsafe`."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise Unsafe(f"{name!r}: its name is not UTF-8") from None
    if CONTROL.search(name):
        raise Unsafe(f"{name!r}: a name with control characters or backslashes")
    if name.startswith("/") or re.match(r"[A-Za-z]:/", name):
        raise Unsafe(f"{name!r}: an absolute path")
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise Unsafe(f"{name!r}: a path that leaves the target with ..")
    if any(len(p.encode()) > 255 for p in path.parts):
        raise Unsafe(f"{name[:60]!r}...: a name of more than 255 bytes")
    if path.parts and path.parts[0].startswith(HIDDEN):
        raise Unsafe(f"{name!r}: a name that this program uses itself")
    if path.name == ".DS_Store" or path.name.startswith("._") or "__MACOSX" in path.parts:
        return None
    return path if path.parts else None


class _Limit:
    """A count of what comes out of an archive of `size` bytes. Raises `Unsafe` beyond the limits."""

    def __init__(self, size: int) -> None:
        self.most = max(FLOOR, RATIO * size)
        self.files = self.bytes = 0

    def add(self, size: int, files: int = 1) -> None:
        self.files += files
        self.bytes += size
        if self.files > FILES:
            raise Unsafe(f"more than {FILES:,} files")
        if self.bytes > self.most:
            raise Unsafe(f"more than {self.most:,} bytes once extracted: a zip bomb?")


@contextmanager
def damage_as_torn() -> Iterator[None]:
    """Turn what Python raises while members are read into `Torn` or `Unsafe`."""
    try:
        yield
    except DAMAGE as e:
        raise Torn(str(e).split("\n")[0] or type(e).__name__) from None
    except (NotImplementedError, RuntimeError) as e:  # zipfile's: compression, passwords
        raise Unsafe(str(e).split("\n")[0]) from None
    except MemoryError:
        raise Unsafe("asks for more memory than there is") from None
    except OSError as e:
        if e.errno in (None, errno.EINVAL):  # it points before its beginning
            raise Torn(str(e)) from None
        raise


def zip_members(archive: zipfile.ZipFile, size: int) -> Iterator[Member]:
    """The files of a zip of `size` bytes. All names are checked before the first is given."""
    limit, safe = _Limit(size), []
    for info in archive.infolist():
        name = _zip_name(info)
        path = safe_path(name)
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Unsafe(f"{name!r}: a link or a device")
        if path is not None and not info.is_dir():
            limit.add(info.file_size)
            safe.append(Member(path, info.file_size, partial(archive.open, info)))
    yield from safe


def _zip_name(info: zipfile.ZipInfo) -> str:
    """A name as it was written. macOS writes UTF-8 and does not say so; the standard is code page 437."""
    if info.flag_bits & UTF8:
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return info.orig_filename


def tar_members(file: IO[bytes], head: bytes, size: int) -> Iterator[Member]:
    """The files of a tar of `size` bytes that begins with `head`, in one pass without seeking."""
    limit = _Limit(size)
    opener = next((opens for magic, opens in OPENERS.items() if head.startswith(magic)), None)
    with ExitStack() as stack:
        plain = stack.enter_context(opener(file)) if opener else file
        archive = stack.enter_context(
            tarfile.open(fileobj=plain, mode="r|", tarinfo=Header, bufsize=CHUNK)
        )
        for info in archive:
            archive.members.clear()  # it would keep millions of headers in memory
            path = safe_path(info.name)
            if not (info.isreg() or info.isdir()):
                raise Unsafe(f"{info.name!r}: a link or a device")
            if info.size < 0:
                raise Torn(f"{info.name!r}: {info.size} bytes are stated")
            if path is not None and info.isreg():
                limit.add(info.size)
                yield Member(path, info.size, partial(archive.extractfile, info))
        _read_end(archive.fileobj, limit)


def _read_end(stream: Any, limit: _Limit) -> None:
    """Read what follows the end, where a compressed stream has its checksum.

    Raises `Torn` for a header there: the end was a header, too, and is damaged.
    """
    while rest := stream.read(CHUNK):
        limit.add(len(rest), files=0)
        if any(rest[at + 257 : at + 262] == b"ustar" for at in range(0, len(rest), BLOCK)):
            raise Torn("goes on after its end: a damaged header, or two archives in one")


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
    """Raise `Torn` unless the numbers in the names count from 0 or 1 without a gap."""
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
