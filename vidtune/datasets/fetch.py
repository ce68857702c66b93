"""Stage `fetch`: the files of a dataset's sources into `downloads/`, several at once.

Each is resumed, checked and named as vidtune/remote/download.py does it. What is behind a form or a
licence is never asked for: its line says what to do. One file's trouble does not stop the others.
"""

import shutil
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vidtune.datasets import source_files, stage_state
from vidtune.datasets.source_files import Locked, Wanted
from vidtune.progress import EVERY
from vidtune.remote.cache import file_exists
from vidtune.remote.download import download
from vidtune.spec import Dataset, UserError

AT_ONCE = 4  # downloads
NOTHING: Mapping[str, Locked] = {}


def run(
    dataset: Dataset, root: Path, locked: Mapping[str, Locked] = NOTHING, show: bool = True
) -> None:
    """Bring what can be brought. `root` is the dataset's folder, `locked` by name of a file.

    Raises `UserError`, a line for each file that is not there in the end.
    """
    source_files.check_readable(root)
    with stage_state.locked(root, f"{dataset.name}: fetch"):
        _run(dataset, root, locked, show)


def _run(dataset: Dataset, root: Path, locked: Mapping[str, Locked], show: bool) -> None:
    noted = stage_state.read(root, "fetch").get("files", {})
    done: dict[str, Any] = {}
    problems: list[str] = []

    def bring(files: Sequence[Wanted]) -> None:
        problems.extend(_bring(dataset, root, files, noted, done, show))
        stage_state.write(root, "fetch", digest=None, files={**noted, **done})

    offered = [s for s in dataset.sources if not s.gated and not s.optional]
    bring([source_files.wanted(s, locked) for s in offered])
    for source in offered:
        if source.lists and (source_files.downloads(root) / source.file).is_file():
            try:
                bring(source_files.listed(source, root, locked))
            except UserError as e:
                problems.append(str(e))
    problems += [
        line
        for s in dataset.sources
        if s.gated and not s.optional
        for line in _gated(dataset, s, root)
    ]
    if problems:
        raise UserError("\n".join(problems))
    stage_state.write(root, "fetch", digest=stage_state.digest(*dataset.sources), files=done)


def _gated(dataset: Dataset, source: Any, root: Path) -> list[str]:
    if source_files.settled(source, root, stage_state.read(root, "extract").get("archives", {})):
        return []
    return [source_files.instruction(dataset, source, root)]


def _bring(
    dataset: Dataset,
    root: Path,
    files: Sequence[Wanted],
    noted: Mapping[str, Any],
    done: dict[str, Any],
    show: bool,
) -> list[str]:
    """Download files, `AT_ONCE` at once; `done` gets those that are there. A line per problem."""
    unpacked = stage_state.read(root, "extract").get("archives", {})
    absent = []
    for file in files:
        path = source_files.downloads(root) / file.name
        kept = noted.get(file.name)
        if file_exists(path):
            if kept and kept["sha256"] == file.sha256 and kept["stamp"] == stage_state.stamp(path):
                done[file.name] = kept
                continue
        elif kept and file.name in unpacked:
            done[file.name] = kept  # deleted after it was extracted
            continue
        absent.append(file)
    if not absent:
        return []
    _check_room(dataset, root, absent)
    meter = _Meter(dataset.name, len(absent), show)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            problems = list(pool.map(lambda f: _one(dataset, root, f, meter, done), absent))
        except BaseException:
            meter.stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        finally:
            meter.close()
    return [p for p in problems if p]


def _one(
    dataset: Dataset, root: Path, file: Wanted, meter: "_Meter", done: dict[str, Any]
) -> str | None:
    path = source_files.downloads(root) / file.name
    says = f"{dataset.name}: {file.name}"
    try:
        download(
            file.urls,
            path,
            file.sha256,
            file.bytes,
            says,
            lambda have, total: meter.tell(file.name, have, total),
        )
    except UserError as e:
        return f"{dataset.name}: {e}"
    except _Stopped:
        return f"{says}: stopped; run it again to go on"
    done[file.name] = {"sha256": file.sha256, "stamp": stage_state.stamp(path), "url": file.urls[0]}
    return None


def _check_room(dataset: Dataset, root: Path, files: Sequence[Wanted]) -> None:
    """Raises `UserError` where the files cannot fit on the disk, as far as their size is known."""
    part = [source_files.downloads(root) / f"{f.name}.part" for f in files]
    have = sum(p.stat().st_size for p in part if p.exists())
    need = sum(f.bytes or 0 for f in files) - have
    free = shutil.disk_usage(root).free
    if need > free:
        raise UserError(
            f"{dataset.name}: {root}: {need:,} bytes to fetch, {free:,} free; "
            "free some space or set data: in config.yaml to another place"
        )


class _Stopped(Exception):
    """The user has interrupted the download."""


class _Meter:
    """All downloads of a dataset in one bar on a terminal, in plain lines elsewhere."""

    def __init__(self, name: str, files: int, show: bool) -> None:
        self.name, self.files, self.show = name, files, show
        self.stopped, self.lock = threading.Event(), threading.Lock()
        self.got: dict[str, tuple[int, int | None]] = {}
        self.began: dict[str, int] = {}  # bytes that were there before
        self.start = self.said = time.monotonic()
        shown = show and sys.stderr.isatty()
        self.bar = tqdm(desc=name, unit="B", unit_scale=True, leave=False) if shown else None

    def tell(self, name: str, have: int, total: int | None) -> None:
        """Of one file. Raises `_Stopped` where no more is wanted."""
        if self.stopped.is_set():
            raise _Stopped
        with self.lock:
            self.began.setdefault(name, have)
            self.got[name] = have, total
            now = time.monotonic()
            if self.bar is not None:
                self.bar.total = sum(t or h for h, t in self.got.values())
                self.bar.n = sum(h for h, _ in self.got.values())
                self.bar.refresh()
            elif self.show and now - self.said >= EVERY:
                self.said = now
                print(self.line(now), file=sys.stderr)

    def line(self, now: float) -> str:
        have = sum(h for h, _ in self.got.values())
        total = sum(t or h for h, t in self.got.values())
        rate = (have - sum(self.began.values())) / max(now - self.start, 1e-3)
        left = f", {(total - have) / rate:.0f} s left" if rate > 0 else ""
        return (
            f"{self.name}: {have / 1e6:,.0f} of {total / 1e6:,.0f} MB of {len(self.got)} of "
            f"{self.files} files, {rate / 1e6:.1f} MB/s{left}"
        )

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
