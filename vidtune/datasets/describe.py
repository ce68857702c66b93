"""Stage `describe`: a page and a table of a dataset's clips, and a contact sheet of each split.

Writes `describe/facts.json`, `table.md`, `<split>.jpg` and, last, `index.html`.
"""

import html
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vidtune.data import layout, records
from vidtune.data.records import Record
from vidtune.datasets import index, split, stage_state
from vidtune.datasets.contact_sheet import contact_sheet
from vidtune.datasets.training_lists import COUNTS, quarantined
from vidtune.spec import Dataset, UserError, load_json, write_json, write_text
from vidtune.spec.read import write_bytes

SHOWN = 12  # clips of a split on the contact sheet
Facts = dict[str, dict[str, Any]]  # split -> fact -> value


def run(dataset: Dataset, root: Path) -> Facts:
    """Return the facts by split. Raises `UserError` where the dataset is not indexed."""
    splits = split.read_splits(dataset, root)
    path = layout.coverage(root)
    if not path.exists():
        raise UserError(f"{path}: not there yet; run `vidtune data index {dataset.name}`")
    coverage, out = load_json(path), root / "describe"
    facts: Facts = {}
    for name in splits:
        clips = records.read(root, name)
        facts[name] = {**coverage[name], **_clip_facts(clips)}
        if clips:
            step = max(1, len(clips) // SHOWN)
            write_bytes(out / f"{name}.jpg", contact_sheet(clips[::step][:SHOWN]))
    reasons = dict(index.probe_problems(root) + Counter(quarantined(root).values()))
    table = _table(facts)
    write_json(out / "facts.json", {"splits": facts, "problems": reasons})
    write_text(out / "table.md", _markdown(table))
    notes = [
        f"{n:,} longer videos have clips in both of {pair}"
        for pair, n in stage_state.load(root, "split")["shared_origins"].items()
        if n
    ]
    if unlisted := stage_state.load(root, "index")["unlisted"]:
        notes.append(f"{unlisted:,} videos are in no list")
    notes += [f"{n:,} videos cannot be read: {why}" for why, n in reasons.items()]
    shown = [name for name in facts if facts[name]["decodable"]]
    write_text(out / "index.html", _page(dataset, table, notes, shown))
    stage_state.save(root, "describe", digest=stage_state.digest(coverage))
    return facts


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


def _page(dataset: Dataset, table: list[list[str]], notes: list[str], shown: list[str]) -> str:
    """The HTML page; `shown` are the splits that have a contact sheet."""
    e = html.escape
    links = {
        "licence": dataset.licence,
        "citation": dataset.citation,
        "lists": dataset.source,
        "the official code": dataset.official,
    }
    parts = [f"<h1>{e(dataset.title or dataset.name)}</h1>"]
    parts += [f"<p><b>{k}</b>: {e(v)}</p>" for k, v in links.items() if v]
    parts.append("<table>")
    parts += [f"<tr>{''.join(f'<td>{e(cell)}</td>' for cell in row)}</tr>" for row in table]
    parts.append("</table><p>Three numbers are the smallest, the median and the largest.</p>")
    parts += [f"<p>{e(note)}</p>" for note in notes]
    parts += [f'<h2>{e(s)}</h2><img src="{e(s)}.jpg" alt="frames of {e(s)}">' for s in shown]
    style = "body{font:15px sans-serif;margin:2em;max-width:70em}td{padding:.2em 1em .2em 0}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{e(dataset.name)}</title>'
        f"<style>{style}</style>{''.join(parts)}</html>\n"
    )
