"""Download one file: resumed where it broke off, checked, and only then given its name.

Received bytes lie in `<name>.part` under a lock, so that of two processes that fetch the same file
one waits for the other. The next attempt resumes at its end if the sha256 is known or the server
says that the file is still the same: by its ETag, kept in `<name>.part.json` as {"<url>": "<ETag>"}.

The standard library's opener follows the environment's proxy settings.
"""

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
from vidtune.locks import locked
from vidtune.progress import progress
from vidtune.remote.cache import describe_mismatch, file_exists, format_size
from vidtune.spec import UserError, is_safe

TIMEOUT = 30.0  # seconds without an answer or a byte
WAITS = (1.0, 4.0)  # seconds before the second and the third attempt at an address
CHUNK = 1 << 20  # bytes
BUSY = (408, 425, 429)  # client errors of HTTP that may pass


class _Broken(Exception):
    """Another attempt at the same address may succeed."""


class _Refused(Exception):
    """Another attempt at the same address would fail in the same way."""


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
    file, where another file exists under its name, or where the path cannot be written.
    """
    if file_exists(to):
        if problem := describe_mismatch(to, sha256, size):
            raise UserError(f"{to}: {problem}; delete the file and fetch it again")
        _tag_path(to).unlink(missing_ok=True)  # left by a process killed after the rename
        return
    label = label or to.name
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with _locked(to.with_name(f"{to.name}.part"), label) as part:
            if not file_exists(to):
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


@contextmanager
def _locked(path: Path, label: str) -> Iterator[FileIO]:
    """Open the partial file for this process alone. Another one may rename it while we wait."""
    waiting = f"{label}: another process is fetching it; waiting"
    while True:
        with FileIO(path, "ab") as part, locked(part, waiting):
            if not (path.exists() and os.path.samestat(path.stat(), os.fstat(part.fileno()))):
                continue
            try:
                yield part
            finally:
                if path.exists() and not path.stat().st_size:
                    path.unlink()
                    path.with_name(f"{path.name}.json").unlink(missing_ok=True)
            return


@dataclass(frozen=True)
class _Download:
    part: FileIO  # appended to
    to: Path
    sha256: str | None
    size: int | None
    label: str
    watch: Watch | None

    def try_all(self, urls: Sequence[str]) -> None:
        """Fill the partial file from the first address that has it. Raises `UserError`."""
        problems = []
        for url in urls:
            if self.sha256 is None and not self.tag(url):
                self.part.truncate(0)  # nothing would show that parts of two files were joined
            problem = self.try_one(url)
            if problem is None:
                return
            problems.append(f"{url}: {problem}")
        raise UserError(
            f"{self.to}: cannot fetch: {'; '.join(problems)}; try again, or put the file into this "
            f"place by hand ({format_size(self.size)}, sha256 {self.sha256 or 'unknown'})"
        )

    def try_one(self, url: str) -> str | None:
        """Fill the partial file from one address; return what went wrong, or None."""
        problem = ""
        for wait in (0.0, *WAITS):
            if problem:
                print(f"{self.label}: {problem}; again in {wait:.0f} s", file=sys.stderr)
                time.sleep(wait)
            resumed = self.length() > 0
            try:
                self.receive(url)
            except _Refused as e:
                return str(e)
            except _Broken as e:
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
        """Append the missing bytes. Raises `_Broken` and `_Refused`."""
        have = self.length()
        reply = _request(url, have, self.tag(url))
        if reply is None:
            if have == self.size or (self.size is None and self.sha256):
                return  # the server has no more bytes; the sha256 decides
            self.part.truncate(0)
            raise _Broken("the server's file is shorter than the partial one")
        with reply:
            tag = "" if self.sha256 else self.tag(url)
            same = not tag or reply.headers.get("ETag") == tag
            ranges = reply.headers.get("Content-Range", "")
            if not (same and ranges.startswith(f"bytes {have}-")):
                self.part.truncate(0)
                have = 0
                if reply.status == 206:
                    raise _Broken("the server sent another part than was asked for")
            if not have:
                self.keep_tag(url, reply.headers.get("ETag", ""))
            stated = reply.headers.get("Content-Length", "")
            total = have + int(stated) if stated.isdigit() else None
            if total is None and self.sha256 is None:
                raise _Refused("the server does not say how long it is, and no sha256 is known")
            if None not in (total, self.size) and total != self.size:
                raise _Refused(f"{total:,} bytes, not {self.size:,}")
            chunks = _chunks(reply)
            if self.watch is None:
                count = 0 if total is None else -((have - total) // CHUNK)
                chunks = progress(chunks, count, f"{self.label}, MiB", total is not None)
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    rest = rest[self.part.write(rest) :]
                if self.watch is not None:
                    self.watch(self.length(), total)
        if total is not None and self.length() != total:
            raise _Broken(f"broke off after {self.length():,} of {total:,} bytes")

    def length(self) -> int:
        return os.fstat(self.part.fileno()).st_size

    def tag(self, url: str) -> str:
        """Return the ETag kept for the partial file if it came from this address, else ""."""
        try:
            return str(json.loads(_tag_path(self.to).read_text(encoding="utf-8"))[url])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def keep_tag(self, url: str, tag: str) -> None:
        """Write the ETag before the first byte is written; a torn file counts as none.

        A weak ETag (W/"...") would not promise the same bytes.
        """
        if tag.startswith('"') and self.sha256 is None:
            _tag_path(self.to).write_text(json.dumps({url: tag}), encoding="utf-8")
        else:
            _tag_path(self.to).unlink(missing_ok=True)


def _request(url: str, have: int, tag: str) -> Any:
    """Ask for all bytes from `have` on; return the server's reply; None: it has no more bytes."""
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
        raise _Broken(_describe(e)) from None


def _chunks(reply: Any) -> Iterator[bytes]:
    try:
        while chunk := reply.read(CHUNK):
            yield chunk
    except http.client.IncompleteRead as e:
        yield e.partial
    except (OSError, http.client.HTTPException) as e:
        raise _Broken(_describe(e)) from None


def _describe(e: Exception) -> str:
    """Say in a few words which network error it is."""
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
