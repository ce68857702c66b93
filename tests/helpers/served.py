"""A small file server on this machine, which can misbehave."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = bytes(range(256)) * 10_000  # 2.5 MB: several chunks
PIECE = 1 << 14  # bytes that a slow server sends at once


class Server(ThreadingHTTPServer):
    """Serves `files` by name, and BODY under other names.

    The first part of a path says what goes wrong: "whole" is served as it is.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, str | None]] = []  # (first part of the path, Range)
        self.files: dict[str, bytes] = {}
        self.pause = 0.0  # seconds between the pieces of a slow file

    def handle_error(self, *_: object) -> None:
        """Ignore clients that hung up, which is part of these tests."""

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"

    def ranges(self) -> list[str | None]:
        return [r for _, r in self.asked]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        how, _, name = self.path[1:].partition("/")
        wanted = self.headers.get("Range")
        self.server.asked.append((how, wanted))
        first = len([h for h, _ in self.server.asked if h == how]) == 1
        body = self.server.files.get(name, BODY)
        body = body[::-1] if how == "other" else body
        if how == "absent" or (how == "busy" and first):
            return self.send_error(404 if how == "absent" else 503)
        if how == "silent" and first:
            time.sleep(1.0)
            return None
        if how in ("moved", "outside"):
            self.send_response(302)
            away = "http://example.org/f" if how == "outside" else self.server.url(f"whole/{name}")
            self.send_header("Location", away)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return self.give(how, first, body, wanted)

    def give(self, how: str, first: bool, body: bytes, wanted: str | None) -> None:
        tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if self.headers.get("If-Range", tag) != tag:
            wanted = None
        if wanted and how != "rangeless":
            if start >= len(body):
                return self.send_error(416)
            shift = 1 if how == "shifted" and first else 0
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start + shift}-{len(body) - 1}/{len(body)}")
            body = body[start + shift :]
        else:
            self.send_response(200)
        if how != "tagless":
            self.send_header("ETag", tag)
        if how != "lengthless":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        body = body[: len(body) // 2] if how == "cut" and first else body
        for at in range(0, len(body), PIECE if how == "slow" else max(len(body), 1)):
            self.wfile.write(body[at : at + PIECE] if how == "slow" else body)
            time.sleep(self.server.pause if how == "slow" else 0)
        return None

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
