"""Stage `fetch`: download the files of a dataset's sources into `downloads/`, several at once.

vidtune/remote/download.py resumes, checks and names each file. A gated file is never requested: its
line says what to do. A file that fails does not stop the others.
"""

import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from vidtune.datasets import source_files, stage_state
from vidtune.datasets.source_files import Locked, Wanted
from vidtune.datasets.threads import in_threads
from vidtune.remote.cache import file_exists
from vidtune.remote.download import download
from vidtune.remote.meter import Halted, Meter
from vidtune.spec import Dataset, UserError, shown

AT_ONCE = 4  # downloads
NOTHING: Mapping[str, Locked] = {}


def run(
    dataset: Dataset, root: Path, locked: Mapping[str, Locked] = NOTHING, show: bool = True
) -> None:
    """Download what is open. `root` is the dataset's folder, `locked` maps names of files.

    Raises `UserError`, a line for each file that is absent in the end.
    """
    source_files.check_readable(root)
    with stage_state.one_process(root, f"{dataset.name}: fetch"):
        fetch = _Fetch(dataset, root, show)
        open_ = [s for s in dataset.sources if not s.gated and not s.optional]
        fetch.fetch([source_files.wanted(s, locked) for s in open_])
        for source in open_:
            if source.lists and source_files.downloaded(source, root):
                try:
                    fetch.fetch(source_files.listed_files(source, root, locked))
                except UserError as e:
                    fetch.problems.append(str(e))
        gated = source_files.absent((s for s in dataset.sources if s.gated), root)
        problems = fetch.problems + [source_files.instruction(dataset, s, root) for s in gated]
        if problems:
            raise UserError("\n".join(problems))
        digest = stage_state.data_hash(*dataset.sources)
        stage_state.save(root, "fetch", digest=digest, files=fetch.done)


class _Fetch:
    """The downloads of one dataset."""

    def __init__(self, dataset: Dataset, root: Path, show: bool) -> None:
        self.dataset, self.root, self.show = dataset, root, show
        self.before: dict[str, Any] = stage_state.load(root, "fetch").get("files", {})
        self.done: dict[str, Any] = {}  # file -> its hash, stamp and address
        self.problems: list[str] = []

    def fetch(self, files: Sequence[Wanted]) -> None:
        """Download the files that are not on disk, or are no longer those that were checked."""
        extracted = stage_state.extracted(self.root)
        absent = []
        for file in files:
            path, before = self._path(file), self.before.get(file.name)
            if file_exists(path):
                known = before and (before["sha256"], before["stamp"])
                keep = known == (file.sha256, stage_state.stamp(path))
            else:  # it may be deleted after it was extracted
                keep = file.name in extracted
            if keep and before:
                self.done[file.name] = before
            elif not keep:
                absent.append(file)
        if absent:
            self._check_room(absent)
            with Meter(self.dataset.name, len(absent), self.show) as meter:
                download_one = partial(self._download, meter)
                lines = dict(in_threads(download_one, absent, AT_ONCE, meter.stopped))
            self.problems += [line for file in absent if (line := lines[file])]
        stage_state.save(self.root, "fetch", digest=None, files={**self.before, **self.done})

    def _path(self, file: Wanted) -> Path:
        return source_files.downloads(self.root) / file.name

    def _download(self, meter: Meter, file: Wanted) -> str | None:
        """Download one file; return a line where that fails."""
        path, label = self._path(file), f"{self.dataset.name}: {file.name}"

        def report(have: int, total: int | None) -> None:
            meter.update(file.name, have, total)

        try:
            download(file.urls, path, file.sha256, file.bytes, label, report)
        except UserError as e:
            return f"{self.dataset.name}: {e}"
        except Halted:
            return f"{label}: stopped; run it again to go on"
        stamp = stage_state.stamp(path)
        self.done[file.name] = {"sha256": file.sha256, "stamp": stamp, "url": shown(file.urls[0])}
        return None

    def _check_room(self, files: Sequence[Wanted]) -> None:
        """Raise `UserError` where files of known size do not fit on the disk."""
        parts = [Path(f"{self._path(f)}.part") for f in files]
        have = sum(p.stat().st_size for p in parts if p.exists())
        need = sum(f.bytes or 0 for f in files) - have
        free = shutil.disk_usage(self.root).free
        if need > free:
            raise UserError(
                f"{self.dataset.name}: {self.root}: {need:,} bytes to fetch, {free:,} free; "
                "free some space or set data: in config.yaml to another place"
            )
