"""The files in a zip or tar archive, one after the other, and only those that are safe to write.

An archive is judged by its content, not by its name. Refused as a whole: a path outside, links,
devices, more files than `FILES`, more bytes than `RATIO` times its own (a bomb), and whatever is
damaged or cut short, also where Python's tarfile takes a torn header for the end.
"""

import bz2
import gzip
import io
import lzma
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any, Literal

FILES = 20_000_000  # Something-Something V1 has 11 million frames
RATIO = 100  # bytes that one byte may become: lists of captions reach 10, videos 1
FLOOR = 64 << 20  # bytes that any archive may hold
CHUNK = 1 << 20
Kind = Literal["zip", "gz", "bz2", "xz", "tar"]
MAGIC: dict[bytes, Kind] = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
}
SUFFIXES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".tbz2", ".xz", ".txz", ".7z", ".rar", ".zst")
OPEN: dict[str, Callable[[Any], Any]] = {
    "gz": partial(gzip.open, mode="rb"),  # each takes a file that is open
    "bz2": partial(bz2.open, mode="rb"),
    "xz": partial(lzma.open, mode="rb"),
    "tar": lambda f: f,
}
# what Python raises where an archive is torn or not what it seems to be
TORN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
)


class Unsafe(Exception):
    """An archive that must not be extracted, and why."""


class Torn(Exception):
    """An archive that is damaged or cut short, and how."""


@dataclass(frozen=True)
class Member:
    path: PurePosixPath  # below the target; neither absolute nor with ..
    size: int  # bytes
    open: Callable[[], IO[bytes]]


def kind_of(head: bytes) -> Kind | None:
    """By the first 262 bytes or more; None: no archive."""
    found = next((k for magic, k in MAGIC.items() if head.startswith(magic)), None)
    return found or ("tar" if head[257:262] == b"ustar" else None)


def kind(path: Path) -> Kind | None:
    with path.open("rb") as f:
        return kind_of(f.read(512))


def check_named(path: Path) -> None:
    """Raises `Torn` where the name tells of an archive and the content is none: an error page."""
    if path.name.lower().endswith(SUFFIXES) and kind(path) is None:
        with path.open("rb") as f:
            raise Torn(f"is no zip or tar archive: it begins with {f.read(24)!r}")


def safe(name: str) -> PurePosixPath | None:
    """A member's path; None: there is nothing to write. Raises `Unsafe`."""
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
    """Counts what comes out of an archive of `size` bytes. Raises `Unsafe` beyond the limits."""

    def __init__(self, size: int) -> None:
        self.most = max(FLOOR, RATIO * size)
        self.files = 0
        self.bytes = 0

    def add(self, size: int) -> None:
        self.files += 1
        self.bytes += size
        if self.files > FILES:
            raise Unsafe(f"more than {FILES:,} files")
        if self.bytes > self.most:
            raise Unsafe(f"more than {self.most:,} bytes once extracted: a zip bomb?")


def members(path: Path) -> Iterator[Member]:
    """Of one archive file. Raises `Unsafe`, `Torn`, `OSError` and what `translated` translates."""
    with path.open("rb") as f:
        if kind(path) == "zip":
            yield from zipped(f, path.stat().st_size)
        else:
            yield from tar(f, path.stat().st_size)


@contextmanager
def translated() -> Iterator[None]:
    """Python's many errors of damaged archives as `Torn`. For where members are read."""
    try:
        yield
    except TORN as e:
        raise Torn(str(e).split("\n")[0] or type(e).__name__) from None
    except (NotImplementedError, RuntimeError) as e:  # zipfile's, of other methods and passwords
        raise Unsafe(str(e).split("\n")[0]) from None
    except OSError as e:
        if e.errno is None:  # bz2's
            raise Torn(str(e)) from None
        raise


def zipped(file: IO[bytes], size: int) -> Iterator[Member]:
    """All names are looked at before the first file is given."""
    with zipfile.ZipFile(file) as archive:
        limit, found = _Limit(size), []
        for info in archive.infolist():
            mode = info.external_attr >> 16
            path = safe(info.filename)
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise Unsafe(f"{info.filename!r}: a link or a device")
            if path is None or info.is_dir():
                continue
            limit.add(info.file_size)
            found.append((path, info))
        for path, info in found:
            yield Member(path, info.file_size, partial(archive.open, info))


class _Info(tarfile.TarInfo):
    """Tells the mark at the end of an archive from a torn header, which tarfile ends at as well."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:
            archive.ended = True  # type: ignore[attr-defined]
            raise


class _Budget(io.RawIOBase):
    """A stream that gives no more than the limits allow, whatever a header claims."""

    def __init__(self, file: IO[bytes], most: int) -> None:
        self.file, self.left = file, most

    def read(self, size: int = -1) -> bytes:
        data = self.file.read(min(size, CHUNK) if size >= 0 else CHUNK)
        self.left -= len(data)
        if self.left < 0:
            raise Unsafe("more bytes once extracted than is sane: a zip bomb?")
        return data


def tar(file: IO[bytes], size: int) -> Iterator[Member]:
    """In one pass, so that parts and compressed archives need no second one."""
    head = file.peek(512)[:512]  # type: ignore[attr-defined]
    form = kind_of(head)
    if form is None or form == "zip":
        raise Torn("is not a tar archive" if head else "is empty")
    limit = _Limit(size)
    with OPEN[form](file) as plain:
        stream = _Budget(plain, limit.most + limit.most // 8 + (FLOOR >> 2))  # headers too
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Info, bufsize=CHUNK) as archive:
            while (info := archive.next()) is not None:
                archive.members = []  # type: ignore[attr-defined]  # millions would fill memory
                path = safe(info.name)
                if not (info.isreg() or info.isdir()):
                    raise Unsafe(f"{info.name!r}: a link or a device")
                if path is not None and info.isreg():
                    limit.add(info.size)
                    yield Member(path, info.size, partial(_reader, archive, info))
            if not getattr(archive, "ended", False):
                raise Torn("cut short, or a damaged header in the middle")
        while stream.read(CHUNK):
            pass  # to the end, where a compressed stream has its checksum


def _reader(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    found = archive.extractfile(info)
    assert found is not None
    return found
