"""Write what training reads: `<split>.jsonl`, `coverage.json` and `manifest.json`.

`index` writes them; `check` writes them again without the videos that it could not decode.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import RootModel

from vidtune.datasets import dataset_paths, stage_state
from vidtune.datasets.json_lines import Entry, as_text, write_lines
from vidtune.datasets.readers import Listed
from vidtune.spec import Dataset, UserError, json_lines, load_json, parse, write_json
from vidtune.spec.frozen import Split, Whole
from vidtune.spec.results import Written

FORMAT = 1
COUNTS = ("expected", "listed", "present", "decodable")  # of clips, in coverage.json
Coverage = dict[str, dict[str, int]]  # split -> COUNTS


class Covered(Written):
    """The counts of a split in `coverage.json`."""

    expected: Whole
    listed: Whole
    present: Whole
    decodable: Whole


class CoverageFile(RootModel[dict[Split, Covered]]):
    """`coverage.json`."""


class Quarantined(Written):
    """A line of `quarantine.jsonl`."""

    id: str
    reason: str
    bytes: Whole | None = None  # of the file, as the index had it
    mtime_ns: int | None = None

    def bars(self, entry: Entry) -> bool:
        """Whether it is still of the file, or folder of frames, that the index has."""
        return (self.bytes, self.mtime_ns) in ((None, None), (entry["bytes"], entry["mtime_ns"]))


def write_lists(
    dataset: Dataset,
    root: Path,
    splits: Mapping[str, list[Listed]],
    entries: Mapping[str, Entry],
    unlisted: int = 0,
    made_of: str | None = None,
) -> Coverage:
    """Write the lists without broken and quarantined videos, and return the coverage.

    `entries` are the lines of the index by id, `unlisted` the number of videos that no list names,
    `made_of` what the index was made of; None: of the splits of today.
    """
    barred = quarantined(root)
    videos = dataset_paths.raw(dataset, root)
    coverage: Coverage = {}
    manifest_file = root / "manifest.json"
    if manifest_file.exists() and not stage_state.state_file(root, "index").exists():
        raise UserError(f"{manifest_file}: no stage has made it; move it and its lists away")
    manifest_file.unlink(missing_ok=True)  # a stopped run must not look complete
    for split, clips in splits.items():
        present = [(c, entries[c.id]) for c in clips if c.id in entries]
        good = [
            (c, e)
            for c, e in present
            if "problem" not in e and not (c.id in barred and barred[c.id].bars(e))
        ]
        write_lines(root / f"{split}.jsonl", (_record(root, videos, c, e) for c, e in good))
        captions = dataset.expected_of == "captions"  # then the number of clips is not declared
        expected = len(clips) if captions else dataset.expected.get(split, len(clips))
        counts = (expected, len(clips), len(present), len(good))
        coverage[split] = dict(zip(COUNTS, counts, strict=True))
    write_json(dataset_paths.coverage(root), coverage)
    digest = stage_state.data_hash(coverage)
    made_of = made_of or stage_state.made_of(root, "index")
    stage_state.save(root, "index", digest=digest, unlisted=unlisted, made_of=made_of)
    manifest = {
        "format": FORMAT,
        "dataset": dataset.name,
        "classes": stage_state.load(root, "split")["classes"],
        "mirrored": dataset.mirrored,
        "counts": {split: c["decodable"] for split, c in coverage.items()},
    }
    write_json(manifest_file, manifest)
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


def quarantined(root: Path) -> dict[str, Quarantined]:
    """The clips that `check` could not decode, by id."""
    path, again = dataset_paths.quarantine(root), "delete it and run `vidtune data check`"
    if not path.exists():
        return {}
    rows = [
        parse(Quarantined, as_text(row), f"{path}:{number}", again=again)
        for number, row in json_lines(path, again, again)
    ]
    return {row.id: row for row in rows}


def read_coverage(root: Path) -> Coverage:
    """`coverage.json`, as `write_lists` writes it."""
    path, again = dataset_paths.coverage(root), "run `vidtune data index` again"
    coverage = load_json(path, again, again)
    parse(CoverageFile, coverage, path, again=again)
    return coverage
