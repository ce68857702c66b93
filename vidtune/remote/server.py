"""One request to a server, whatever it answers.

The head of a reply must arrive within `TIMEOUT`, and of its body `LEAST` bytes in every `TIMEOUT`: the
limit of a socket would begin anew with every byte. Redirects are followed here, so that https is never
left and credentials go to their own host alone. No text of a server comes into a message: an error is
told by its number, an address as `shown` shows it.

The standard library's handlers follow the environment's proxy settings.
"""

import http.client
import io
import socket
import string
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import URLError
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import (
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    UnknownHandler,
)

from vidtune import __version__
from vidtune.spec.address import credentials, encoded, is_safe, shown

TIMEOUT = 30.0  # seconds
LEAST = 30_000  # bytes of a body in that time
HEAD = 1 << 20  # bytes of a head, or of what else is no body
CHUNK = 1 << 20  # bytes of a body that are given at once
PIECE = 1 << 16  # bytes that are waited for at once, or fewer
SECOND = 1.0  # after which a smaller chunk is given
REDIRECTS = 10
MOVED = (301, 302, 303, 307, 308)
BUSY = (408, 425, 429)  # client errors that may pass


class Broken(Exception):
    """Another attempt at the same address may succeed."""


class Refused(Exception):
    """Another attempt at the same address would fail in the same way."""


def request(url: str, have: int, tag: str) -> Any:
    """Ask for all bytes from `have` on, of the file that has the ETag `tag`, if one is given.

    Return the server's reply; None: it has no more bytes. Raises `Broken` and `Refused`.
    """
    for _ in range(REDIRECTS):
        reply = _ask(url, have, tag)
        if reply.status in (200, 206):
            return reply
        reply.close()
        if reply.status == 416 and have:
            return None
        if reply.status not in MOVED:
            kind = Broken if reply.status >= 500 or reply.status in BUSY else Refused
            raise kind(f"HTTP {reply.status} {http.client.responses.get(reply.status, '')}".strip())
        url = _moved(url, reply.headers.get("Location", ""))
    raise Refused(f"redirected {REDIRECTS} times")


def chunks(reply: Any) -> Iterator[bytes]:
    """Yield a reply's body, `CHUNK` bytes at once or what has come in a `SECOND`.

    Raises `Broken` where it breaks off, after all that has come.
    """
    held, since = bytearray(), time.monotonic()
    problem: str | None = None
    more = True
    while more:
        try:
            piece = reply.read1(PIECE)
        except (OSError, http.client.HTTPException) as e:
            piece, problem = b"", _describe(e, f"fewer than {LEAST:,} bytes in {TIMEOUT:g} s")
        held += piece
        more = bool(piece)
        if held and (not more or len(held) >= CHUNK or time.monotonic() - since > SECOND):
            yield bytes(held)
            held.clear()
            since = time.monotonic()
    if problem:
        raise Broken(problem)


def downgrades(old: str, new: str) -> bool:
    """Whether a redirect would leave https, or this machine for a place without https."""
    return urlsplit(new).scheme != "https" and (urlsplit(old).scheme == "https" or not is_safe(new))


def _moved(url: str, location: str) -> str:
    """Where a redirect leads. Raises `Refused` where it leaves https or names no address."""
    location = location.strip()
    try:
        # bytes of a head are read as Latin-1: so encoded, they are the server's own
        to = urljoin(url, quote(location, safe=string.punctuation, encoding="latin-1"))
        encoded(to)
    except ValueError:
        to = ""
    if not (location and to):
        raise Refused("redirected to no valid address")
    if downgrades(url, to):
        raise Refused(f"redirected to {shown(to)}, which is not https")
    return to


def _ask(url: str, have: int, tag: str) -> Any:
    """Ask one server and return its reply, of whichever status. Raises `Broken` and `Refused`."""
    if not is_safe(url):
        raise Refused("not an https address")
    headers = {"User-Agent": f"vidtune/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if tag:
            headers["If-Range"] = tag
    if user := credentials(url):
        headers["Authorization"] = user
    try:
        return _OPENER.open(Request(encoded(url), headers=headers), timeout=TIMEOUT)
    except (OSError, http.client.HTTPException) as e:
        raise Broken(_describe(e, f"no answer for {TIMEOUT:g} s")) from None


def _describe(e: Exception, late: str) -> str:
    """Say in a few words which network error it is; `late`: what to say of one that is too slow."""
    reason = e.reason if isinstance(e, URLError) else e
    if isinstance(reason, TimeoutError):
        return late
    if isinstance(reason, http.client.RemoteDisconnected):
        return "hung up without an answer"
    if isinstance(reason, http.client.IncompleteRead):
        return "broke off"
    if isinstance(reason, http.client.HTTPException):
        return "its answer is no HTTP, or has too long a head"
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return "".join(c if c.isprintable() else "?" for c in text[:120])


class _Paced(io.RawIOBase):
    """What a socket receives. Raises `TimeoutError` where that is too slow, `HTTPException` where more
    than `HEAD` bytes come that belong to no body."""

    def __init__(self, received: Any, sock: socket.socket) -> None:
        self._received, self._socket = received, sock
        self._waited = 0.0  # seconds since the last `LEAST` bytes of the body
        self._body = self._other = 0  # bytes since then; bytes since the last of the body

    def count(self, body: int) -> None:
        """Note bytes of the body that the reader has got."""
        if body:
            self._other, self._body = 0, self._body + body
        if self._body >= LEAST:
            self._waited, self._body = 0.0, 0

    def start_body(self) -> None:
        self._other, self._waited = 0, 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = TIMEOUT - self._waited
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        began = time.monotonic()
        received = self._received.readinto(buffer) or 0
        self._waited += time.monotonic() - began  # not while the disk is waited for
        self._other += received
        if self._other > HEAD:
            raise http.client.HTTPException
        return received

    def close(self) -> None:
        self._received.close()
        super().close()


class _Reply(http.client.HTTPResponse):
    """A reply that keeps to `_Paced`."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self._paced = _Paced(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self._paced)

    def begin(self) -> None:
        super().begin()
        self._paced.start_body()

    def read1(self, n: int = -1) -> bytes:
        piece = super().read1(n)
        self._paced.count(len(piece))
        return piece


class _Http(http.client.HTTPConnection):
    response_class = _Reply


class _Https(http.client.HTTPSConnection):
    response_class = _Reply


class _HttpHandler(HTTPHandler):
    def http_open(self, req: Request) -> Any:
        return self.do_open(_Http, req)


class _HttpsHandler(HTTPSHandler):
    def https_open(self, req: Request) -> Any:
        return self.do_open(_Https, req)


def _opener() -> OpenerDirector:
    """What opens http and https alone, and follows no redirect."""
    opener = OpenerDirector()
    for handler in (ProxyHandler(), _HttpHandler(), _HttpsHandler(), UnknownHandler()):
        opener.add_handler(handler)
    return opener


_OPENER = _opener()
