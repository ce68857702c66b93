"""Where a dataset's parts lie: fetched ones below `<data>/<dataset>`, a user's own in its folder.

What the stages write lies in `<data>/<dataset>` always.
"""

from pathlib import Path

from vidtune.spec import Dataset


def home(dataset: Dataset, root: Path) -> Path:
    """The folder whose downloads, videos and lists the dataset uses."""
    return root.parent / dataset.shares if dataset.shares else root


def raw(dataset: Dataset, root: Path) -> Path:
    """Its videos, anywhere below."""
    return _own(dataset) or home(dataset, root) / "raw"


def annotations(dataset: Dataset, root: Path) -> Path:
    """Its lists, anywhere below."""
    return _own(dataset) or home(dataset, root) / "annotations"


def _own(dataset: Dataset) -> Path | None:
    return Path(dataset.folder).expanduser() if dataset.folder else None


def index(root: Path) -> Path:
    return root / "index.jsonl"


def quarantine(root: Path) -> Path:
    return root / "quarantine.jsonl"


def coverage(root: Path) -> Path:
    return root / "coverage.json"


def split(root: Path, name: str) -> Path:
    return root / f"split_{name}.jsonl"
