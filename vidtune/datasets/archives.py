"""Read the files of a zip or tar archive one by one, and refuse what is unsafe to write.

An archive may be published in parts, which are read as one stream where they are.

An archive is judged by its content, not by its name. It is refused as a whole for an absolute path,
a path with .., a link, a device, more than `FILES` files, or more than `RATIO` times its own bytes
(a bomb), and where it is damaged or cut short. Python's own data filter is more lenient: it strips
a leading slash and lets links through that stay inside.
"""

import bz2
import gzip
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

FILES = 20_000_000  # Something-Something V1 has 11 million frames
RATIO = 100  # bytes that one byte may become: lists of captions reach 10, videos 1
FLOOR = 64 << 20  # bytes that any archive may hold
HEADER = 1 << 20  # bytes of a tar header that holds a long name
CHUNK = 1 << 20  # bytes read at once
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
OPENERS: dict[bytes, Callable[[Any], IO[bytes]]] = {  # by the first bytes of a compressed tar
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".7z", ".rar", ".zst")
# What Python raises for a damaged archive; gzip and bz2 raise an OSError without a number as well.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError)


class Unsafe(Exception):
    """Raised for an archive that must not be extracted; the text says why."""


class Torn(Exception):
    """Raised for an archive that is damaged or cut short; the text says how."""


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
    if not name.isprintable() or "\\" in name:
        raise Unsafe(f"{name!r}: a name with control characters or backslashes")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise Unsafe(f"{name!r}: an absolute path")
    path = PurePosixPath(name)
    if ".." in path.parts:
        raise Unsafe(f"{name!r}: a path that leaves the target with ..")
    if any(len(p.encode()) > 255 for p in path.parts):
        raise Unsafe(f"{name[:60]!r}...: a name of more than 255 bytes")
    if path.name == ".DS_Store" or path.name.startswith("._") or "__MACOSX" in path.parts:
        return None
    return path if path.parts else None


class _Limit:
    """A count of what comes out of an archive of `size` bytes. Raises `Unsafe` beyond the limits."""

    def __init__(self, size: int) -> None:
        self.most = max(FLOOR, RATIO * size)
        self.files = self.bytes = 0

    def add(self, size: int) -> None:
        self.files += 1
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
    except OSError as e:
        if e.errno is None:
            raise Torn(str(e)) from None
        raise


def zip_members(archive: zipfile.ZipFile, size: int) -> Iterator[Member]:
    """The files of a zip of `size` bytes. All names are checked before the first is given."""
    limit, safe = _Limit(size), []
    for info in archive.infolist():
        path = safe_path(info.filename)
        if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Unsafe(f"{info.filename!r}: a link or a device")
        if path is not None and not info.is_dir():
            limit.add(info.file_size)
            safe.append(Member(path, info.file_size, partial(archive.open, info)))
    yield from safe


class _Header(tarfile.TarInfo):
    """A header that may not be damaged: tarfile would take a damaged one for the archive's end."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # the real end
            raise
        except tarfile.HeaderError:
            raise Torn("cut short, or a damaged header in the middle") from None
        if info.size > HEADER and not (info.isreg() or info.isdir()):
            raise Unsafe(f"a header of {info.size:,} bytes: a zip bomb?")
        return info


def tar_members(file: IO[bytes], head: bytes, size: int) -> Iterator[Member]:
    """The files of a tar of `size` bytes that begins with `head`, in one pass without seeking."""
    limit = _Limit(size)
    opener = next((opens for magic, opens in OPENERS.items() if head.startswith(magic)), None)
    with opener(file) if opener else nullcontext(file) as plain:
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_Header, bufsize=CHUNK) as archive:
            for info in archive:
                archive.members.clear()  # it would keep millions of headers in memory
                path = safe_path(info.name)
                if not (info.isreg() or info.isdir()):
                    raise Unsafe(f"{info.name!r}: a link or a device")
                if path is not None and info.isreg():
                    limit.add(info.size)
                    yield Member(path, info.size, partial(archive.extractfile, info))
        while plain.read(CHUNK):
            pass  # the checksum of a compressed stream is at its end


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
