"""Where the files of a dataset lie.

The stages write into `root` = `<data>/<dataset>`. Fetched videos and lists are below it, too;
a user's own stay in the folder that the declaration names.
"""

from pathlib import Path

from vidtune.spec import Dataset


def home(dataset: Dataset, root: Path) -> Path:
    """Return the folder whose downloads, videos and lists the dataset uses."""
    return root.parent / dataset.shares if dataset.shares else root


def raw(dataset: Dataset, root: Path) -> Path:
    """Return the folder that holds its videos at any depth."""
    return Path(dataset.folder).expanduser() if dataset.folder else home(dataset, root) / "raw"


def annotations(dataset: Dataset, root: Path) -> Path:
    """Return the folder that holds its lists at any depth."""
    place = home(dataset, root) / "annotations"
    return Path(dataset.folder).expanduser() if dataset.folder else place


def index(root: Path) -> Path:
    return root / "index.jsonl"


def quarantine(root: Path) -> Path:
    return root / "quarantine.jsonl"


def coverage(root: Path) -> Path:
    return root / "coverage.json"


def split(root: Path, name: str) -> Path:
    return root / f"split_{name}.jsonl"
