"""How much of a dataset a run has seen: clips in its lists, of those that should be there."""

import json
from pathlib import Path

from vidtune.data import layout
from vidtune.spec import Dataset, UserError, load_json


def of(dataset: Dataset, folder: Path) -> dict[str, dict[str, int]]:
    """{split: {"used", "expected"}} of the training and the evaluated split, where listed.

    What is expected stands in `coverage.json`; for lists made by hand, in the declaration; and
    where that is silent it is what is there.
    """
    path = layout.coverage(folder)
    known = load_json(path) if path.exists() else {}
    out = {}
    for split in ("train", dataset.evaluate_on):
        used, captions = _counted(folder / f"{split}.jsonl")
        if used:
            of_captions = dataset.expected_of == "captions"
            declared = dataset.expected.get(split, captions if of_captions else used)
            have = {"used": used, "expected": declared}
            if split in known:
                have["expected"] = known[split]["expected"]
            elif of_captions:
                have["used"] = captions
            out[split] = have
    return out


def _counted(path: Path) -> tuple[int, int]:
    """Clips and captions of a list; (0, 0) of none."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        return len(rows), sum(len(row["captions"]) for row in rows)
    except FileNotFoundError:
        return 0, 0
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UserError(f"{path}: cannot be read ({e}); run `vidtune data index` again") from None
