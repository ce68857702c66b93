"""The command `lock`: note what the first verified download of each file was, for all later ones.

`config/datasets.lock.json` holds {dataset: {file: {"bytes", "sha256"}}} and is committed. Most of
these hashes are published nowhere: the lock file reveals a file that its owner has changed.
"""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import RootModel

from vidtune.datasets import source_files, stage_state
from vidtune.datasets.source_files import UNKNOWN, Locked
from vidtune.spec import Dataset, Frozen, UserError, load_json, parse, write_json
from vidtune.spec.frozen import Whole
from vidtune.spec.source import Sha256

FILE = "datasets.lock.json"


class LockedFile(Frozen):
    bytes: Whole | None
    sha256: Sha256 | None


class LockFile(RootModel[dict[str, dict[str, LockedFile]]]):
    """The lock file."""


def locked_files(config: Path, dataset: str) -> dict[str, Locked]:
    """The locked files of a dataset. Raises `UserError` where the lock file is damaged."""
    path = config / FILE
    known = _entries(path).get(dataset, {})
    return {name: Locked(entry["bytes"], entry["sha256"]) for name, entry in known.items()}


def run(dataset: Dataset, root: Path, config: Path) -> dict[str, Locked]:
    """Return the hash of every file that was fetched and extracted without an error, by its name.

    Raises `UserError`, a line for each file that differs from what is declared or locked, and
    where nothing has been extracted yet.
    """
    source_files.check_readable(root)
    downloads, extracted = source_files.downloads(root), stage_state.extracted(root)
    known = locked_files(config, dataset.name)
    hashed: dict[str, Locked] = {}
    problems: list[str] = []
    for name, archive in extracted.items():
        for file, stamp in archive["stamps"].items():
            path = downloads / Path(name).parent / file
            if not path.is_file():
                continue  # deleted after it was extracted
            if stage_state.stamp(path) != stamp:
                problems.append(f"{path}: changed since it was extracted; extract it again")
                continue
            key = str(path.relative_to(downloads))
            hashed[key] = _hash(path)
            problems += _mismatches(dataset, key, path, hashed[key], known.get(key, UNKNOWN))
    if not extracted:
        problems.append(
            f"{dataset.name}: nothing verified yet; run `vidtune data extract {dataset.name}`"
        )
    if problems:
        raise UserError("\n".join(problems))
    path = config / FILE
    entries = _entries(path)
    entries[dataset.name] = {k: vars(v) for k, v in sorted((known | hashed).items())}
    write_json(path, entries)
    return hashed


def _entries(path: Path) -> dict[str, dict[str, dict[str, Any]]]:
    again = "restore it from git"
    entries = load_json(path, advice=again) if path.exists() else {}
    parse(LockFile, entries, path, again=again)
    return entries


def summary(root: Path, hashed: dict[str, Locked]) -> list[str]:
    return [f"{root.name}: {k}: {v.bytes:,} bytes, sha256 {v.sha256}" for k, v in hashed.items()]


def _hash(path: Path) -> Locked:
    with path.open("rb") as f:
        return Locked(path.stat().st_size, hashlib.file_digest(f, "sha256").hexdigest())


def _mismatches(dataset: Dataset, key: str, path: Path, hashed: Locked, known: Locked) -> list[str]:
    """A line where a file is not what datasets.yaml declares or the lock file has."""
    declared = next((s.sha256 for s in dataset.sources if s.file == key and s.sha256), None)
    for origin, sha256 in (("declared", declared), ("locked", known.sha256)):
        if sha256 is not None and sha256 != hashed.sha256:
            return [
                f"{path}: sha256 is {hashed.sha256}, {origin} is {sha256}; delete the file and "
                "fetch it again, or take the entry out of "
                f"{'datasets.yaml' if declared else FILE}"
            ]
    return []
