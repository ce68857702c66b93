"""Read the official lists of each dataset in the form in which their owner publishes them.

There is a module for each form (`format` in config/datasets.yaml). Its docstring shows the form; its
`read` returns which clips each split has, the file names that their videos may have, and their
captions or labels.
"""

from importlib import import_module
from pathlib import Path

from vidtune.datasets.readers.clip_lists import Listed, ListFiles, Lists
from vidtune.spec import Dataset, UserError

__all__ = ["Listed", "Lists", "read_lists"]


def read_lists(dataset: Dataset, folder: Path) -> Lists:
    """A dataset's lists, which lie below `folder`. Raises `UserError` at the first mistake."""
    if dataset.annotations is None:
        raise UserError(
            f"config/datasets.yaml: datasets.{dataset.name}.annotations: missing; name the form of "
            "its lists, or bring manifest.json and <split>.jsonl"
        )
    module = import_module(f"vidtune.datasets.readers.{dataset.annotations.format}")
    return module.read(ListFiles(folder, dataset))
