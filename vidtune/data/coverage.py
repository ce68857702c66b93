"""How much of a dataset a run has seen: clips in its lists, of those that it should list."""

from pathlib import Path

from vidtune.data import layout, records
from vidtune.spec import Dataset, load_json


def count(dataset: Dataset, folder: Path) -> dict[str, dict[str, int]]:
    """Return {split: {"used", "expected"}} of the training and the evaluated split, where listed.

    The expected number stands in `coverage.json`, such as {"train": {"used": 8998, "expected":
    9000}}; for lists made by hand, in the declaration; where that is silent it is the used number.
    Raises `UserError` at a list's first bad line.
    """
    path = layout.coverage(folder)
    prepared = load_json(path) if path.exists() else {}
    counts = {}
    for split in ("train", dataset.evaluate_on):
        listed = folder / f"{split}.jsonl"
        rows = records.rows(listed) if listed.exists() else []
        used = len(rows)
        if split not in prepared and dataset.expected_of == "captions":
            used = sum(len(row["captions"]) for row in rows)
        expected = prepared.get(split, {}).get("expected", dataset.expected.get(split, used))
        if rows:
            counts[split] = {"used": used, "expected": expected}
    return counts
