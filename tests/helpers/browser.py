"""Chromium without a window, driven by its DevTools protocol over two pipes."""

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-extensions",
)
FLAGS += ("--disable-background-networking", "--disable-component-update", "--hide-scrollbars")
SECONDS = 120.0  # that one command may take


def executable() -> str | None:
    """The browser of this machine; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Tab:
    """One tab. `events` are all that it has reported so far, as (method, parameters)."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self.write, self.read = to_browser, from_browser
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.session, self.count, self.rest = "", 0, b""
        target = self.command("Target.createTarget", url="about:blank")["targetId"]
        attached = self.command("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.command(f"{domain}.enable")

    def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.count:
            self.events.append((answer.get("method", ""), answer.get("params", {})))
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def _next(self) -> dict[str, Any]:
        """The next message of the browser; messages end with a zero byte."""
        end = time.monotonic() + SECONDS
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"the browser says nothing for {SECONDS:.0f} s"
            part = os.read(self.read, 1 << 20)
            assert part, "the browser has ended"
            self.rest += part
        message, _, self.rest = self.rest.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path) -> None:
        """Load a file and wait until it is loaded."""
        self.events.clear()
        self.command("Page.navigate", url=path.resolve().as_uri())
        while not any(method == "Page.loadEventFired" for method, _ in self.events):
            message = self._next()
            self.events.append((message.get("method", ""), message.get("params", {})))

    def run(self, code: str) -> Any:
        """The value of a JavaScript expression, or of the promise that it is."""
        asked = {"expression": code, "returnByValue": True, "awaitPromise": True}
        answer = self.command("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def look(self, width: int, height: int = 900, theme: str = "light", media: str = "") -> None:
        """Set the window's size in pixels, and what the page asks of its surroundings."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", **size)
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.command("Emulation.setEmulatedMedia", media=media, features=features)

    def screenshot(self) -> bytes:
        return base64.b64decode(self.command("Page.captureScreenshot")["data"])

    def pdf(self) -> bytes:
        asked = {"preferCSSPageSize": True, "printBackground": False}
        return base64.b64decode(self.command("Page.printToPDF", **asked)["data"])


@contextlib.contextmanager
def tab(folder: Path) -> Iterator[Tab]:
    """A tab of a browser of its own, whose profile is in `folder`."""
    program = executable()
    assert program, "ask for executable() first"
    (child_read, ours_write), (ours_read, child_write) = os.pipe(), os.pipe()
    # the browser reads from 3 and writes to 4, which may be in use here: bash takes them over
    given = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (child_read, child_write)]
    os.close(child_read)
    os.close(child_write)
    take = f'exec "$@" 3<&{given[0]} 4>&{given[1]} {given[0]}<&- {given[1]}>&-'
    options = [*FLAGS, f"--user-data-dir={folder}", "--remote-debugging-pipe", "about:blank"]
    process = subprocess.Popen(
        ["bash", "-c", take, "bash", program, *options],
        pass_fds=given,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    for fd in given:
        os.close(fd)
    try:
        made = Tab(ours_write, ours_read)
        yield made
        with contextlib.suppress(AssertionError, OSError):
            made.session = ""
            made.command("Browser.close")
    finally:
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours_write)
        os.close(ours_read)
