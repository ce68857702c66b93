"""Where the files of a dataset lie.

The stages write into `root` = `<data>/<dataset>`. Fetched videos and lists are below it, too;
a user's own stay in the folder that the declaration names.
"""

from pathlib import Path

from vidtune.spec import Dataset
from vidtune.spec.names import expand


def home(dataset: Dataset, root: Path) -> Path:
    """Return the folder whose downloads, videos and lists the dataset uses."""
    return root.parent / dataset.shares if dataset.shares else root


def raw(dataset: Dataset, root: Path) -> Path:
    """Return the folder that holds its videos at any depth."""
    return _own(dataset) or home(dataset, root) / "raw"


def annotations(dataset: Dataset, root: Path) -> Path:
    """Return the folder that holds its lists at any depth."""
    return _own(dataset) or home(dataset, root) / "annotations"


def list_files(folder: Path, name: str) -> list[Path]:
    """The files of a name, or of the path or pattern that it is, anywhere below the folder."""
    exact = folder / name
    if exact.is_file():
        return [exact]
    is_name = not any(c in name for c in "/*?[")  # neither a path nor a pattern
    return sorted(p for p in folder.rglob(name) if p.is_file()) if is_name else []


def _own(dataset: Dataset) -> Path | None:
    """Return the user's own folder, where one is declared. Raises `UserError` where its ~ is unknown."""
    key = f"config/datasets.yaml: datasets.{dataset.name}.folder"
    return expand(dataset.folder, key) if dataset.folder else None


def index(root: Path) -> Path:
    return root / "index.jsonl"


def quarantine(root: Path) -> Path:
    return root / "quarantine.jsonl"


def coverage(root: Path) -> Path:
    return root / "coverage.json"


def split(root: Path, name: str) -> Path:
    return root / f"split_{name}.jsonl"
