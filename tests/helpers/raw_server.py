"""A server on this machine that sends any bytes at any pace, whatever it is asked for."""

import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Script:
    """What is sent to each request: `first`, then `again` for ever, `pause` seconds apart."""

    first: bytes = b""
    again: bytes = b""
    pause: float = 0.0
    asked: list[str] = field(default_factory=list)  # the heads of the requests
    url: str = ""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def answering(first: bytes = b"", again: bytes = b"", pause: float = 0.0) -> Iterator[Script]:
    """`url` of what is yielded is the server's address."""
    script = Script(first, again, pause)

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            with suppress(OSError):
                while (line := self.rfile.readline()).strip():
                    head += line
                script.asked.append(head.decode("latin-1"))
                self.wfile.write(script.first)
                while script.again:
                    time.sleep(script.pause)
                    self.wfile.write(script.again)

    with _Server(("127.0.0.1", 0), Handler) as server:
        script.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield script
        finally:
            server.shutdown()


def reply(status: str = "200 OK", body: bytes = b"", **heads: object) -> bytes:
    """A reply; of the names of heads _ is -."""
    lines = [f"HTTP/1.1 {status}", *(f"{k.replace('_', '-')}: {v}" for k, v in heads.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
