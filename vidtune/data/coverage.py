"""How much of a dataset a run has seen: clips in its lists, of those that it should list."""

import json
from pathlib import Path

from vidtune.data import layout
from vidtune.spec import Dataset, UserError, load_json


def count(dataset: Dataset, folder: Path) -> dict[str, dict[str, int]]:
    """Return {split: {"used", "expected"}} of the training and the evaluated split, where listed.

    The expected number stands in `coverage.json`, such as {"train": {"used": 8998, "expected":
    9000}}; for lists made by hand, in the declaration; where that is silent it is the used number.
    """
    path = layout.coverage(folder)
    prepared = load_json(path) if path.exists() else {}
    counts = {}
    for split in ("train", dataset.evaluate_on):
        clips, captions = _count_rows(folder / f"{split}.jsonl")
        if not clips:
            continue
        of_captions = dataset.expected_of == "captions"
        if split in prepared:
            used, expected = clips, prepared[split]["expected"]
        else:
            used = captions if of_captions else clips
            expected = dataset.expected.get(split, used)
        counts[split] = {"used": used, "expected": expected}
    return counts


def _count_rows(path: Path) -> tuple[int, int]:
    """Count the clips and captions of a list; a missing one has (0, 0)."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return len(rows), sum(len(row["captions"]) for row in rows)
    except FileNotFoundError:
        return 0, 0
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UserError(f"{path}: cannot be read ({e}); run `vidtune data index` again") from None
