"""Stage `describe`: a page and a table of a dataset's clips, and a contact sheet of each split.

Writes `describe/facts.json`, `table.md`, `<split>.jpg` and, last, `index.html`.
"""

import statistics
from collections import Counter
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import StrictUndefined, Template
from PIL import Image, ImageOps

from vidtune.data import records
from vidtune.data.jpg_folder import write_jpg
from vidtune.data.records import Record
from vidtune.data.video import read_frames
from vidtune.datasets import dataset_paths, index, split, stage_state
from vidtune.datasets.json_lines import complete_lines
from vidtune.datasets.training_lists import COUNTS, quarantined, read_coverage
from vidtune.spec import Dataset, UserError, write_json, write_text
from vidtune.spec.read import write_bytes

SHOWN = 12  # clips of a split on the contact sheet
TILE = (160, 120)  # width, height of a clip's picture, pixels
COLUMNS = 6
PAGE = Path(__file__).with_name("describe.html.j2")
Facts = dict[str, dict[str, Any]]  # split -> fact -> value


def run(dataset: Dataset, root: Path) -> Facts:
    """Return the facts by split. Raises `UserError` where the dataset is not indexed."""
    splits = split.read_splits(dataset, root)
    path = dataset_paths.coverage(root)
    if not path.exists():
        raise UserError(f"{path}: not there yet; run `vidtune data index {dataset.name}`")
    coverage, out = read_coverage(root), root / "describe"
    facts: Facts = {}
    for name in splits:
        if name not in coverage:
            raise UserError(
                f"{path}: {name}: missing; run `vidtune data index {dataset.name}` again"
            )
        clips = records.read(root, name)
        facts[name] = {**coverage[name], **_clip_facts(clips)}
        if clips:
            step = max(1, len(clips) // SHOWN)
            write_bytes(out / f"{name}.jpg", _contact_sheet(clips[::step][:SHOWN]))
    entries = complete_lines(dataset_paths.index(root))
    barred = quarantined(root)
    undecoded = (
        row.reason
        for name, row in barred.items()
        if name in entries and "problem" not in entries[name] and row.bars(entries[name])
    )
    reasons = dict(index.probe_problems(root) + Counter(undecoded))
    table = _table(facts)
    write_json(out / "facts.json", {"splits": facts, "problems": reasons})
    write_text(out / "table.md", _markdown(table))
    notes = [
        f"{n:,} longer videos have clips in both of {pair}"
        for pair, n in stage_state.load(root, "split")["shared_origins"].items()
        if n
    ]
    if unlisted := stage_state.load(root, "index").get("unlisted"):
        notes.append(f"{unlisted:,} videos are in no list")
    notes += [f"{n:,} videos cannot be read: {why}" for why, n in reasons.items()]
    shown = [name for name in facts if facts[name]["decodable"]]
    page = Template(PAGE.read_text(), autoescape=True, undefined=StrictUndefined)
    html = page.render(dataset=dataset, table=table, notes=notes, shown=shown)
    write_text(out / "index.html", html + "\n")
    stage_state.save(root, "describe", digest=stage_state.data_hash(coverage))
    return facts


def summary(root: Path, _: Facts) -> list[str]:
    return [str(root / "describe" / "index.html")]


def _clip_facts(clips: Sequence[Record]) -> dict[str, Any]:
    """What the clips of a split that can be used are like."""
    captions = [text for c in clips for text in c.captions]
    labels = Counter(c.label for c in clips if c.label is not None)
    return {
        "seconds": _spread([c.seconds for c in clips]),
        "fps": _spread([c.fps for c in clips]),
        "frames": _spread([c.frames for c in clips]),
        "captions": len(captions),
        "words": _spread([len(text.split()) for text in captions]),
        "classes": len(labels),
        "clips_per_class": _spread(list(labels.values())),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """The smallest, median, mean and largest value; None without values."""
    if not values:
        return None
    median, mean = statistics.median(values), statistics.fmean(values)
    return {"min": min(values), "median": median, "mean": mean, "max": max(values)}


ROWS = {
    "expected": "clips expected",
    "listed": "clips listed",
    "present": "videos present",
    "decodable": "videos that can be read",
    "share": "coverage",
    "seconds": "seconds",
    "frames": "frames",
    "fps": "frames per second",
    "captions": "captions",
    "words": "words of a caption",
    "classes": "classes",
    "clips_per_class": "clips of a class",
}


def _table(facts: Facts) -> list[list[str]]:
    """The header and the rows; a spread is shown as smallest / median / largest."""
    rows = [["", *facts]]
    for key, label in ROWS.items():
        cells = [_cell(key, facts[name]) for name in facts]
        if any(cell not in ("", "0") for cell in cells) or key in COUNTS:
            rows.append([label, *cells])
    return rows


def _cell(key: str, facts: dict[str, Any]) -> str:
    if key == "share":
        return f"{100 * facts['decodable'] / max(1, facts['expected']):.1f} %"
    value = facts[key]
    if isinstance(value, dict):
        return " / ".join(f"{value[k]:,.6g}" for k in ("min", "median", "max"))
    return "" if value is None else f"{value:,}"


def _markdown(table: list[list[str]]) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    rule = "|" + "---|" * len(table[0])
    return "\n".join([head, rule, *rows]) + "\n"


def _contact_sheet(clips: Sequence[Record]) -> bytes:
    """A jpg of the middle frames of clips; a clip that cannot be read stays grey."""
    width, height = TILE
    rows = -(-len(clips) // COLUMNS)
    sheet = Image.new("RGB", (min(COLUMNS, len(clips)) * width, rows * height), "grey")
    for i, clip in enumerate(clips):
        try:
            frame = Image.fromarray(read_frames(clip.path, [clip.frames // 2])[0])
        except UserError:
            continue
        tile = ImageOps.pad(frame, TILE)  # the whole frame, on black
        sheet.paste(tile, (i % COLUMNS * width, i // COLUMNS * height))
    jpg = BytesIO()
    write_jpg(jpg, np.asarray(sheet))
    return jpg.getvalue()
