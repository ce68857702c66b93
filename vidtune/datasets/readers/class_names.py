"""Names of classes: a csv with id and name, as Side4Video's."""

from pathlib import Path

from vidtune.datasets.readers.parsing import table
from vidtune.spec import UserError


def numbered(path: Path) -> tuple[str, ...]:
    """Names by their ids, which must be 0, 1, ... each once."""
    names: dict[int, str] = {}
    for place, row in table(path, ("id", "name")):
        if not row["id"].strip().isdigit() or int(row["id"]) in names:
            raise UserError(f"{place}: id: expected a number of its own; found {row['id']!r}")
        names[int(row["id"])] = row["name"].strip()
    if sorted(names) != list(range(len(names))):
        raise UserError(f"{path}: id: expected 0 to {len(names) - 1}, once each; fix it")
    if len(set(names.values())) != len(names):
        raise UserError(f"{path}: name: expected names that differ; fix it")
    return tuple(names[k] for k in range(len(names)))
