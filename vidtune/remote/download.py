"""Download one file: resumed where it broke off, checked, and only then given its name.

Received bytes lie in `<name>.part` under a lock, so that of two processes that fetch the same file
one waits for the other. The next attempt resumes at its end if the sha256 is known or the server
says that the file is still the same: by its ETag, kept in `<name>.part.json` as {"<url>": "<ETag>"}.
No more is written than the file may have: of what is too long nothing stays.
"""

import json
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

from vidtune.locks import locked
from vidtune.remote.cache import describe_mismatch, file_exists, format_size
from vidtune.remote.meter import Meter
from vidtune.remote.server import Broken, Refused, chunks, request
from vidtune.spec import UserError, load_json, shown

WAITS = (1.0, 4.0)  # seconds before the second and the third attempt at an address
UNSTATED = 1 << 32  # bytes of a file whose size neither its declaration nor the server states
ETAG = r'"[!#-~]{0,200}"'  # a weak one (W/"...") would not promise the same bytes

Watch = Callable[[int, int | None], None]  # receives (bytes so far, bytes in all)


def download(
    urls: Sequence[str],
    to: Path,
    sha256: str | None,
    size: int | None = None,
    label: str = "",
    watch: Watch | None = None,
) -> None:
    """Bring a file to the path `to` from the first of `urls` that has it; messages call it `label`.

    An existing file is checked and kept. Without a sha256 the length stated by the server is
    checked. Progress goes to `watch`, or to stderr. Raises `UserError` where no address has the
    file, where something else has its name, or where the path cannot be written.
    """
    if file_exists(to):
        if problem := describe_mismatch(to, sha256, size):
            raise UserError(f"{to}: {problem}; delete the file and fetch it again")
        _tag_path(to).unlink(missing_ok=True)  # left by a process killed after the rename
        return
    label = label or to.name
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        _check_free(to)
        with (
            _locked(to.with_name(f"{to.name}.part"), label) as part,
            Meter(label, 1, watch is None) as meter,
        ):
            if not file_exists(to):
                watch = watch or partial(meter.update, to.name)
                _Download(part, to, sha256, size, label, watch).try_all(urls)
                os.fsync(part.fileno())
                os.replace(part.name, to)
                _tag_path(to).unlink(missing_ok=True)
    except OSError as e:
        raise UserError(
            f"{to}: cannot write: {e.strerror}; free some space or choose another place "
            "(of the cache: VIDTUNE_CACHE)"
        ) from None


def _tag_path(to: Path) -> Path:
    return to.with_name(f"{to.name}.part.json")


def _check_free(path: Path) -> None:
    """Raise `UserError` where a folder, a broken link or a pipe has the name of a file to come."""
    if os.path.lexists(path) and not path.is_file():
        raise UserError(f"{path}: is there and is no file; move it away and fetch again")


@contextmanager
def _locked(path: Path, label: str) -> Iterator[FileIO]:
    """Open the partial file for this process alone. Another one may rename it while we wait."""
    waiting = f"{label}: another process is fetching it; waiting"
    while True:
        with FileIO(path, "ab", opener=_open_no_link) as part, locked(part, waiting):
            if not (path.exists() and os.path.samestat(path.stat(), os.fstat(part.fileno()))):
                continue
            try:
                yield part
            finally:
                if path.exists() and not path.stat().st_size:
                    path.unlink()
                    path.with_name(f"{path.name}.json").unlink(missing_ok=True)
            return


def _open_no_link(path: str, flags: int) -> int:
    """Open a partial file. Raises `UserError` for what would lead elsewhere: a link, a pipe."""
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise UserError(f"{path}: is there and is no partial file; delete it and fetch again")
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


@dataclass(frozen=True)
class _Download:
    part: FileIO  # appended to
    to: Path
    sha256: str | None
    size: int | None
    label: str
    watch: Watch

    def try_all(self, urls: Sequence[str]) -> None:
        """Fill the partial file from the first address that has it. Raises `UserError`."""
        problems = []
        for url in urls:
            if self.sha256 is None and not self.tag(url):
                self.part.truncate(0)  # nothing would show that parts of two files were joined
            problem = self.try_one(url)
            if problem is None:
                return
            problems.append(f"{shown(url)}: {problem}")
        if self.sha256 is None and not any(map(self.tag, urls)):
            self.part.truncate(0)  # no later attempt could go on
        raise UserError(
            f"{self.to}: cannot fetch: {'; '.join(problems)}; try again, or put the file into this "
            f"place by hand ({format_size(self.size)}, sha256 {self.sha256 or 'unknown'})"
        )

    def try_one(self, url: str) -> str | None:
        """Fill the partial file from one address; return what went wrong, or None."""
        problem = ""
        for wait in (0.0, *WAITS):
            if problem and sys.stderr.isatty():
                print(f"{self.label}: {problem}; again in {wait:.0f} s", file=sys.stderr)
            time.sleep(wait)
            resumed = self.length() > 0
            try:
                self.receive(url)
            except Refused as e:
                return str(e)
            except Broken as e:
                problem = str(e)
                continue
            problem = describe_mismatch(Path(self.part.name), self.sha256, self.size)
            if problem is None:
                return None
            self.part.truncate(0)
            if not resumed:
                return problem
        return problem

    def receive(self, url: str) -> None:
        """Append the missing bytes. Raises `Broken` and `Refused`."""
        have = self.length()
        reply = request(url, have, self.tag(url))
        if reply is None:
            if have == self.size or (self.size is None and self.sha256):
                return  # the server has no more bytes; the sha256 decides
            self.part.truncate(0)
            raise Broken("the server's file is shorter than the partial one")
        with reply:
            tag = "" if self.sha256 else self.tag(url)
            same = not tag or reply.headers.get("ETag") == tag
            ranges = reply.headers.get("Content-Range", "")
            if not (same and ranges.startswith(f"bytes {have}-")):
                if reply.status == 206:
                    self.part.truncate(0)
                    raise Broken("the server sent another part than was asked for")
                self.check_whole(reply)
                have = 0
            total = self.total(reply, have)
            if not have:
                self.part.truncate(0)
                self.keep_tag(url, reply.headers.get("ETag", ""))
            self.append(reply, total)
        if total is not None and self.length() != total:
            raise Broken(f"broke off after {self.length():,} of {total:,} bytes")

    def check_whole(self, reply: Any) -> None:
        """Raise `Refused` where a reply from the first byte on is no more than what is here, as a page of a
        proxy or a quota is: it would take its place."""
        stated = _stated(reply)
        if stated is None and "html" in reply.headers.get("Content-Type", "") and self.length():
            raise Refused("a page in place of the file")
        if stated is not None and stated < self.length():
            raise Refused(
                f"{stated:,} bytes in place of the {self.length():,} that are here already; if that "
                f"is right, delete {self.part.name}"
            )

    def total(self, reply: Any, have: int) -> int | None:
        """The file's length as the server states it. Raises `Refused` where it cannot be right."""
        stated = _stated(reply)
        total = None if stated is None else have + stated
        if total is None and self.sha256 is None:
            raise Refused("the server does not say how long it is, and no sha256 is known")
        if None not in (total, self.size) and total != self.size:
            raise Refused(f"{total:,} bytes, not {self.size:,}")
        free = shutil.disk_usage(self.to.parent).free + self.length() - have
        if (total or self.size or 0) - have > free:
            raise Refused(f"{(total or self.size) - have:,} bytes to come, and {free:,} are free")
        return total

    def append(self, reply: Any, total: int | None) -> None:
        """Write what comes. Raises `Broken`, and `Refused` where more comes than the file has."""
        most = self.size or total or UNSTATED
        for chunk in chunks(reply):
            if self.length() + len(chunk) > most:
                self.part.truncate(0)
                raise Refused(f"more than {most:,} bytes")
            rest = memoryview(chunk)
            try:
                while rest:
                    rest = rest[self.part.write(rest) :]
            except OSError:
                if total is None:
                    self.part.truncate(0)  # it may have no end
                raise
            self.watch(self.length(), total)

    def length(self) -> int:
        return os.fstat(self.part.fileno()).st_size

    def tag(self, url: str) -> str:
        """Return the ETag kept for the partial file if it came from this address, else ""."""
        try:
            tag = load_json(_tag_path(self.to))[shown(url)]
            return tag if re.fullmatch(ETAG, tag) else ""
        except (UserError, KeyError, TypeError):
            return ""

    def keep_tag(self, url: str, tag: str) -> None:
        """Write the ETag before the first byte is written; a torn file counts as none."""
        _tag_path(self.to).unlink(missing_ok=True)
        if re.fullmatch(ETAG, tag) and self.sha256 is None:
            _tag_path(self.to).write_text(json.dumps({shown(url): tag}), encoding="utf-8")


def _stated(reply: Any) -> int | None:
    """How many bytes a reply says that it has."""
    text = reply.headers.get("Content-Length", "")
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None
