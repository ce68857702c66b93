"""The official lists of each dataset, read in the very form their owners publish them.

One small module a form, whose `read` gives the same for all: which clips each split has, under
which file names their videos may lie, and their captions or label.
"""

from importlib import import_module
from pathlib import Path

from vidtune.datasets.readers.clip_lists import Found, Listed, Lists
from vidtune.spec import Dataset, UserError

__all__ = ["Listed", "Lists", "read_lists"]


def read_lists(dataset: Dataset, folder: Path) -> Lists:
    """A dataset's lists, below `folder`. Raises `UserError` at the first thing that is wrong."""
    about = dataset.annotations
    if about is None:
        raise UserError(
            f"config/datasets.yaml: datasets.{dataset.name}.annotations: missing; say in which "
            "form its lists are, or bring manifest.json and <split>.jsonl"
        )
    module = import_module(f"vidtune.datasets.readers.{about.format}")
    return module.read(Found(folder, dataset))
