"""Write what training reads: `<split>.jsonl`, `coverage.json` and `manifest.json`.

`index` writes them; `check` writes them again without the videos that it could not decode.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vidtune.datasets import dataset_paths, stage_state
from vidtune.datasets.json_lines import Entry, write_lines
from vidtune.datasets.readers import Listed
from vidtune.spec import Dataset, UserError, write_json

FORMAT = 1
COUNTS = ("expected", "listed", "present", "decodable")  # of clips, in coverage.json
Coverage = dict[str, dict[str, int]]  # split -> COUNTS


def write_lists(
    dataset: Dataset,
    root: Path,
    splits: Mapping[str, list[Listed]],
    entries: Mapping[str, Entry],
    unlisted: int = 0,
) -> Coverage:
    """Write the lists without broken and quarantined videos, and return the coverage.

    `entries` are the lines of the index by id, `unlisted` the number of videos that no list names.
    """
    barred = quarantined(root)
    videos = dataset_paths.raw(dataset, root)
    coverage: Coverage = {}
    (root / "manifest.json").unlink(missing_ok=True)  # a stopped run must not look complete
    for split, clips in splits.items():
        present = [(c, entries[c.id]) for c in clips if c.id in entries]
        good = [(c, e) for c, e in present if "problem" not in e and c.id not in barred]
        write_lines(root / f"{split}.jsonl", (_record(root, videos, c, e) for c, e in good))
        captions = dataset.expected_of == "captions"  # then the number of clips is not declared
        expected = len(clips) if captions else dataset.expected.get(split, len(clips))
        counts = (expected, len(clips), len(present), len(good))
        coverage[split] = dict(zip(COUNTS, counts, strict=True))
    write_json(dataset_paths.coverage(root), coverage)
    stage_state.save(root, "index", digest=stage_state.data_hash(coverage), unlisted=unlisted)
    manifest = {
        "format": FORMAT,
        "dataset": dataset.name,
        "classes": stage_state.load(root, "split")["classes"],
        "mirrored": dataset.mirrored,
        "counts": {split: c["decodable"] for split, c in coverage.items()},
    }
    write_json(root / "manifest.json", manifest)
    return coverage


def summary(root: Path, coverage: Coverage) -> list[str]:
    clips = {s: f"{c['decodable']:,} of {c['expected']:,} clips" for s, c in coverage.items()}
    return [f"{root.name}: {split}: {text}" for split, text in clips.items()]


def _record(root: Path, videos: Path, clip: Listed, entry: Entry) -> dict[str, Any]:
    """A line as vidtune/data/records.py reads it."""
    frames, fps = entry["frames"], entry["fps"]
    if clip.until is not None:  # the last frame read is the one at that second
        frames = min(frames, int(clip.until * fps) + 1)
    path = videos / entry["video"]
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
    """The clips that `check` could not decode: id -> reason."""
    path = dataset_paths.quarantine(root)
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["id"]: row["reason"] for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise UserError(
            f"{path}: cannot be read ({e}); delete it and run `vidtune data check`"
        ) from None
