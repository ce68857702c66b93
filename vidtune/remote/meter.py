"""How far downloads are: one bar for all on a terminal, plain lines elsewhere."""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from vidtune.progress import EVERY


class Halted(Exception):
    """Raised in a download after the user has interrupted it."""


class Meter:
    """Shows the downloads of `files` files, which may run in several threads."""

    def __init__(self, name: str, files: int, show: bool = True) -> None:
        self.name, self.files, self.show = name, files, show
        self.stopped, self.lock = threading.Event(), threading.Lock()
        self.bytes: dict[str, tuple[int, int | None]] = {}  # file -> received, in all
        self.began: dict[str, int] = {}  # file -> received in earlier runs
        self.start = self.printed = time.monotonic()
        bar = show and sys.stderr.isatty()
        self.bar = tqdm(desc=name, unit="B", unit_scale=True, leave=False) if bar else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, at: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.close()

    def update(self, file: str, have: int, total: int | None) -> None:
        """Note how far one file is. Raises `Halted` where it should stop."""
        if self.stopped.is_set():
            raise Halted
        with self.lock:
            self.began.setdefault(file, have)
            self.bytes[file] = have, total
            now = time.monotonic()
            if self.bar is not None:
                self.bar.n, self.bar.total = self.sums()
                self.bar.refresh()
            elif self.show and now - self.printed >= EVERY:
                self.printed = now
                print(self.line(now), file=sys.stderr)

    def sums(self) -> tuple[int, int]:
        """Bytes received, and bytes of all files begun, as far as their sizes are known."""
        pairs = self.bytes.values()
        return sum(have for have, _ in pairs), sum(total or have for have, total in pairs)

    def line(self, now: float) -> str:
        have, total = self.sums()
        rate = (have - sum(self.began.values())) / max(now - self.start, 1e-3)
        left = f", {(total - have) / rate:.0f} s left" if rate > 0 else ""
        return (
            f"{self.name}: {have / 1e6:,.0f} of {total / 1e6:,.0f} MB of {len(self.bytes)} of "
            f"{self.files} files, {rate / 1e6:.1f} MB/s{left}"
        )
