"""Headers of a tar that may not be damaged: `tarfile` takes a damaged one for the archive's end."""

import re
import tarfile
from typing import Any

from vidtune.datasets.archives.errors import Torn, Unsafe

MOST = 1 << 20  # bytes of a header that holds a long name
CHECKSUM = re.compile(rb" *[0-7]+[ \0]*")
RECORD = re.compile(rb"([0-9]{1,7}) ([!-<>-~ ]+)=")  # of an extended header: its length, a key
NUMBERS = (b"atime", b"ctime", b"mtime", b"size", b"uid", b"gid")
NUMBER = re.compile(rb"-?[0-9]+(\.[0-9]*)?")
DAMAGED = "cut short, or a damaged header in the middle"


class Header(tarfile.TarInfo):
    """A header. Raises `Torn` where it is damaged, and `Unsafe` where it is too large."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> tarfile.TarInfo:
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # the real end
            raise
        except (tarfile.HeaderError, ValueError):
            raise Torn(DAMAGED) from None

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        info = super().frombuf(buf, encoding, errors)
        if not CHECKSUM.fullmatch(buf[148:156]):
            raise tarfile.InvalidHeaderError
        if info.size > MOST and not (info.isreg() or info.isdir()):
            raise Unsafe(f"a header of {info.size:,} bytes: a zip bomb?")
        return info

    def _proc_pax(self, archive: Any) -> tarfile.TarInfo:
        archive.fileobj = _Records(archive.fileobj, self.size)
        try:
            return super()._proc_pax(archive)
        finally:
            archive.fileobj = archive.fileobj.stream


class _Records:
    """A stream whose next `size` bytes must be records of an extended header, and zeros after them: tarfile
    would overlook from the first damaged one on. Raises `Torn`."""

    def __init__(self, stream: Any, size: int) -> None:
        self.stream, self.size = stream, size

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        at, end, self.size = 0, self.size, 0
        while at < end:
            match = RECORD.match(data, at)
            at += int(match[1]) if match else 0
            if match is None or not match.end() < at <= end or data[at - 1 : at] != b"\n":
                raise Torn(DAMAGED)
            if match[2] in NUMBERS and not NUMBER.fullmatch(data, match.end(), at - 1):
                raise Torn(DAMAGED)
        if end and data[end:].strip(b"\0"):
            raise Torn(DAMAGED)
        return data
