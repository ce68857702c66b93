"""Download one file: resumed where it broke off, checked, and only then given its name.

What has arrived lies in `<name>.part` under a lock, so that of two processes that fetch the same
file one waits for the other. The next attempt continues there, if the sha256 is known or the server
says that the file is still the same (its ETag, kept in `<name>.part.json`).
"""

import fcntl
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from vidtune import __version__
from vidtune.progress import progress
from vidtune.remote.cache import said, there, wrong
from vidtune.spec import UserError, is_safe

TIMEOUT = 30.0  # seconds without an answer or a byte
WAITS = (1.0, 4.0)  # seconds before the second and the third attempt at an address
CHUNK = 1 << 20  # bytes
BUSY = (408, 425, 429)  # HTTP errors of the client that may pass


class _Broken(Exception):
    """Worth another attempt at the same address."""


class _Refused(Exception):
    """Not worth one."""


Watch = Callable[[int, int | None], None]  # told the bytes that are there, and of how many


def download(
    urls: Sequence[str],
    to: Path,
    sha256: str | None,
    size: int | None = None,
    says: str = "",
    watch: Watch | None = None,
) -> None:
    """Bring a file to the place `to` from the first of `urls` that has it; `says` names it.

    A file that is already there is checked and kept. Without a sha256 the length counts that the
    server states. `watch` is told how far it is, instead of stderr. Raises `UserError` where no
    address has the file, where another file stands in its place, or where the place cannot be
    written.
    """
    if there(to):
        if problem := wrong(to, sha256, size):
            raise UserError(f"{to}: {problem}; delete the file and fetch it again")
        _tag(to).unlink(missing_ok=True)  # killed after the rename, an attempt leaves it
        return
    says = says or to.name
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with _locked(to.with_name(f"{to.name}.part"), says) as part:
            if not there(to):
                _Download(part, to, sha256, size, says, watch).run(urls)
                os.fsync(part.fileno())
                os.replace(part.name, to)
                _tag(to).unlink(missing_ok=True)
    except OSError as e:
        raise UserError(
            f"{to}: cannot write: {e.strerror}; free some space or choose another place "
            "(of the cache: VIDTUNE_CACHE)"
        ) from None


def _tag(to: Path) -> Path:
    """Where the server's name for the state of a file is kept while it is partial."""
    return to.with_name(f"{to.name}.part.json")


@contextmanager
def _locked(path: Path, says: str) -> Iterator[FileIO]:
    """The partial file, for this process alone. Another one may rename it while we wait."""
    while True:
        part = FileIO(path, "ab")
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{says}: another process is fetching it; waiting", file=sys.stderr)
            fcntl.flock(part, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(path.stat(), os.fstat(part.fileno())):
            break
        part.close()
    with part:
        try:
            yield part
        finally:
            if path.exists() and not path.stat().st_size:
                path.unlink()
                path.with_name(f"{path.name}.json").unlink(missing_ok=True)


@dataclass(frozen=True)
class _Download:
    part: FileIO  # appended to
    to: Path
    sha256: str | None
    size: int | None
    says: str
    watch: Watch | None = None

    def run(self, urls: Sequence[str]) -> None:
        """Fill the partial file. Raises `UserError` where no address has it."""
        reasons = []
        for url in urls:
            if self.sha256 is None and not self.tag(url):
                self.part.truncate(0)  # nothing would tell that two files were joined
            reason = self.attempts(url)
            if reason is None:
                return
            reasons.append(f"{url}: {reason}")
        raise UserError(
            f"{self.to}: cannot fetch: {'; '.join(reasons)}; try again, or put the file there by "
            f"hand ({said(self.size)}, sha256 {self.sha256 or 'unknown'})"
        )

    def attempts(self, url: str) -> str | None:
        """Fill the partial file from one address. What went wrong; None: nothing."""
        reason = ""
        for wait in (0.0, *WAITS):
            if reason:
                print(f"{self.says}: {reason}; again in {wait:.0f} s", file=sys.stderr)
                time.sleep(wait)
            resumed = self.length() > 0
            try:
                self.receive(url)
            except _Refused as e:
                return str(e)
            except _Broken as e:
                reason = str(e)
                continue
            reason = wrong(Path(self.part.name), self.sha256, self.size)
            if reason is None:
                return None
            self.part.truncate(0)
            if not resumed:
                return reason
        return reason

    def receive(self, url: str) -> None:
        """Append what is missing. Raises `_Broken` and `_Refused`."""
        have = self.length()
        reply = _ask(url, have, self.tag(url))
        if reply is None:
            if have == self.size or (self.size is None and self.sha256):
                return  # the server has no more than is here; the sha256 decides
            self.part.truncate(0)
            raise _Broken("the server has less of it than was here")
        with reply:
            if not _continues(reply, have, "" if self.sha256 else self.tag(url)):
                self.part.truncate(0)
                have = 0
                if reply.status == 206:
                    raise _Broken("the server sent another part than was asked for")
            if not have:
                self.keep_tag(url, reply.headers.get("ETag", ""))
            rest = reply.headers.get("Content-Length", "")
            total = have + int(rest) if rest.isdigit() else None
            if total is None and self.sha256 is None:
                raise _Refused("the server does not say how long it is, and no sha256 is known")
            if None not in (total, self.size) and total != self.size:
                raise _Refused(f"{total:,} bytes, not {self.size:,}")
            for chunk in self.told(_read(reply), have, total):
                left = memoryview(chunk)
                while left:
                    left = left[self.part.write(left) :]
        if total is not None and self.length() != total:
            raise _Broken(f"broke off after {self.length():,} of {total:,} bytes")

    def told(self, chunks: Iterator[bytes], have: int, total: int | None) -> Iterator[bytes]:
        """The chunks, with word of how far it is."""
        if self.watch is None:
            count = 0 if total is None else -((have - total) // CHUNK)
            yield from progress(chunks, count, f"{self.says}, MiB", total is not None)
            return
        for chunk in chunks:
            yield chunk
            have += len(chunk)
            self.watch(have, total)

    def length(self) -> int:
        return os.fstat(self.part.fileno()).st_size

    def tag(self, url: str) -> str:
        """The ETag of what the partial file is part of, if it came from this address."""
        try:
            return str(json.loads(_tag(self.to).read_text(encoding="utf-8"))[url])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def keep_tag(self, url: str, tag: str) -> None:
        """Before the first byte is. A weak one would not promise the same bytes; a torn file
        is none."""
        if tag.startswith('"') and self.sha256 is None:
            _tag(self.to).write_text(json.dumps({url: tag}), encoding="utf-8")
        else:
            _tag(self.to).unlink(missing_ok=True)


def _ask(url: str, have: int, tag: str) -> Any:
    """The server's reply to a request for all bytes from `have` on; None: there are no more."""
    if not is_safe(url):
        raise _Refused("not an https address")
    headers = {"User-Agent": f"vidtune/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag:
            headers["If-Range"] = tag
    try:
        return _OPENER.open(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as e:
        e.close()
        if e.code == 416 and have:
            return None
        kind = _Broken if e.code >= 500 or e.code in BUSY else _Refused
        raise kind(f"HTTP {e.code} {e.reason}") from None
    except (OSError, http.client.HTTPException) as e:
        raise _Broken(_words(e)) from None


def _continues(reply: Any, have: int, tag: str) -> bool:
    """Whether the reply starts where the partial file ends, and is of the same file."""
    return reply.headers.get("Content-Range", "").startswith(f"bytes {have}-") and (
        not tag or reply.headers.get("ETag") == tag
    )


def _read(reply: Any) -> Iterator[bytes]:
    try:
        while chunk := reply.read(CHUNK):
            yield chunk
    except http.client.IncompleteRead as e:
        yield e.partial
    except (OSError, http.client.HTTPException) as e:
        raise _Broken(_words(e)) from None


def _words(e: Exception) -> str:
    """A network error in a few words."""
    reason = e.reason if isinstance(e, URLError) else e
    if isinstance(reason, TimeoutError):
        return f"no answer for {TIMEOUT:g} s"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def downgrades(old: str, new: str) -> bool:
    """Whether a redirect would leave https, or this machine for a place without https."""
    return urlsplit(new).scheme != "https" and (urlsplit(old).scheme == "https" or not is_safe(new))


class _Redirects(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> Request | None:
        if downgrades(req.full_url, newurl):
            fp.close()
            raise _Refused(f"redirected to {newurl}, which is not https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = build_opener(_Redirects)
