"""What training reads, from what the stages know: `<split>.jsonl`, `coverage.json`, `manifest.json`.

`index` writes them; `check`, which finds videos that cannot be decoded, writes them again.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vidtune.data import layout
from vidtune.datasets import stage_state
from vidtune.datasets.readers import Listed
from vidtune.spec import Dataset, UserError, write_json, write_text

FORMAT = 1
COUNTS = ("expected", "listed", "present", "decodable")  # of clips, in coverage.json


def write(
    dataset: Dataset,
    root: Path,
    splits: Mapping[str, list[Listed]],
    entries: Mapping[str, Mapping[str, Any]],
    unlisted: int = 0,
) -> dict[str, Any]:
    """Write the lists without broken and quarantined videos; `entries` are the index's, by id.

    Returns the content of `coverage.json`: {split: {"expected", "listed", "present", "decodable"}}.
    """
    barred = quarantined(root)
    coverage: dict[str, dict[str, int]] = {}
    (root / "manifest.json").unlink(missing_ok=True)  # a stopped run must not look complete
    for name, clips in splits.items():
        there = [c for c in clips if c.id in entries]
        good = [c for c in there if "problem" not in entries[c.id] and c.id not in barred]
        place = layout.raw(dataset, root)
        write_lines(
            root / f"{name}.jsonl", (_record(dataset, root, place, c, entries[c.id]) for c in good)
        )
        coverage[name] = {
            "expected": expected(dataset, name, len(clips)),
            "listed": len(clips),
            "present": len(there),
            "decodable": len(good),
        }
    write_json(layout.coverage(root), coverage)
    stage_state.write(root, "index", digest=stage_state.digest(coverage), unlisted=unlisted)
    facts = stage_state.read(root, "split")
    write_json(
        root / "manifest.json",
        {
            "format": FORMAT,
            "dataset": dataset.name,
            "classes": facts["classes"],
            "mirrored": dataset.mirrored,
            "counts": {name: c["decodable"] for name, c in coverage.items()},
        },
    )
    return coverage


def expected(dataset: Dataset, split: str, listed: int) -> int:
    """Clips that a split should have; what is listed, where captions are declared, or nothing."""
    if dataset.expected_of == "captions":
        return listed
    return dataset.expected.get(split, listed)


def _record(
    dataset: Dataset, root: Path, place: Path, clip: Listed, entry: Mapping[str, Any]
) -> dict[str, Any]:
    """A line as vidtune/data/records.py reads it."""
    frames, fps = entry["frames"], entry["fps"]
    if clip.until is not None:  # the last frame read is the one at that second
        frames = min(frames, int(clip.until * fps) + 1)
    path = place / entry["video"]
    inside = path.is_relative_to(root)
    return {
        "id": clip.id,
        "video": str(path.relative_to(root) if inside else path.absolute()),
        "frames": frames,
        "fps": fps,
        "seconds": frames / fps,
        "label": clip.label,
        "captions": list(clip.captions),
    }


def quarantined(root: Path) -> dict[str, str]:
    """Id -> reason, of the clips that `check` could not decode."""
    path = layout.quarantine(root)
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["id"]: row["reason"] for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UserError(
            f"{path}: cannot be read ({e}); delete it and run `vidtune data check`"
        ) from None


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """A JSON object a line, all at once."""
    write_text(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
