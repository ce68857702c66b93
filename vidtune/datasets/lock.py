"""Stage `lock`: what the first verified download of each file was, for every later one.

`config/datasets.lock.json` holds {dataset: {file: {"bytes", "sha256"}}} and is committed. Nobody
has published most of these hashes: with it, a file that has changed at its owner's is noticed.
"""

import hashlib
from pathlib import Path
from typing import Any

from vidtune.datasets import source_files, stage_state
from vidtune.datasets.source_files import Locked
from vidtune.spec import Dataset, UserError, load_json, write_json

FILE = "datasets.lock.json"


def read(config: Path, dataset: str) -> dict[str, Locked]:
    """The locked files of a dataset. Raises `UserError` where the lock file is damaged."""
    path = config / FILE
    try:
        entries = _entries(path).get(dataset, {})
        return {name: Locked(int(e["bytes"]), str(e["sha256"])) for name, e in entries.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        if isinstance(e, UserError):
            raise
        raise UserError(
            f"{path}: {dataset}: expected bytes and sha256 of each file; restore it from git"
        ) from None


def _entries(path: Path) -> dict[str, Any]:
    return load_json(path) if path.exists() else {}


def run(dataset: Dataset, root: Path, config: Path) -> list[str]:
    """Hash every file that was fetched whole and extracted without an error. A line for each.

    Raises `UserError`, a line for each file that differs from what is declared or locked, and
    where nothing has been extracted yet.
    """
    source_files.check_readable(root)
    unpacked = stage_state.read(root, "extract").get("archives", {})
    known = read(config, dataset.name)
    found: dict[str, Locked] = {}
    problems: list[str] = []
    for name, archive in unpacked.items():
        for file, stamp in archive["stamps"].items():
            path = source_files.downloads(root) / Path(name).parent / file
            if not path.is_file():
                continue  # deleted after it was extracted
            if stage_state.stamp(path) != stamp:
                problems.append(f"{path}: changed since it was extracted; extract it again")
                continue
            key = str(path.relative_to(source_files.downloads(root)))
            found[key] = _hashed(path)
            problems += _differs(dataset, key, path, found[key], known.get(key))
    if not unpacked:
        problems.append(
            f"{dataset.name}: nothing verified yet; run `vidtune data extract {dataset.name}`"
        )
    if problems:
        raise UserError("\n".join(problems))
    entries = _entries(config / FILE)
    merged = {**known, **found}
    entries[dataset.name] = {k: vars(v) for k, v in sorted(merged.items())}
    write_json(config / FILE, entries)
    return [f"{dataset.name}: {k}: {v.bytes:,} bytes, sha256 {v.sha256}" for k, v in found.items()]


def _hashed(path: Path) -> Locked:
    with path.open("rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    return Locked(path.stat().st_size, digest)


def _differs(
    dataset: Dataset, key: str, path: Path, found: Locked, known: Locked | None
) -> list[str]:
    declared = next((s.sha256 for s in dataset.sources if s.file == key and s.sha256), None)
    for what, sha256 in (("declared", declared), ("locked", known.sha256 if known else None)):
        if sha256 is not None and sha256 != found.sha256:
            return [
                f"{path}: sha256 is {found.sha256}, {what} is {sha256}; delete the file and fetch "
                f"it again, or take the entry out of {'datasets.yaml' if declared else FILE}"
            ]
    return []
