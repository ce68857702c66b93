"""Stage `describe`: a page and a table of what is there, and a contact sheet.

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
from vidtune.datasets import index, split, stage_state, training_lists
from vidtune.datasets.contact_sheet import sheet
from vidtune.spec import Dataset, UserError, load_json, write_json, write_text
from vidtune.spec.read import write_bytes

SHOWN = 12  # clips of a split on the contact sheet


def run(dataset: Dataset, root: Path) -> dict[str, Any]:
    """The facts by split. Raises `UserError` where the dataset is not indexed."""
    noted = split.read(dataset, root)
    path = layout.coverage(root)
    if not path.exists():
        raise UserError(f"{path}: not there yet; run `vidtune data index {dataset.name}`")
    coverage, out = load_json(path), root / "describe"
    facts: dict[str, Any] = {}
    for name in noted:
        found = records.read(root, name)
        facts[name] = {**coverage[name], **_facts(found)}
        if found:
            step = max(1, len(found) // SHOWN)
            write_bytes(out / f"{name}.jpg", sheet(found[::step][:SHOWN]))
    reasons = dict(index.problems(root) + Counter(training_lists.quarantined(root).values()))
    table = _table(facts)
    write_json(out / "facts.json", {"splits": facts, "problems": reasons})
    write_text(out / "table.md", _markdown(table))
    origins = stage_state.read(root, "split")["shared_origins"]
    unlisted = stage_state.read(root, "index")["unlisted"]
    page = _page(dataset, table, facts, reasons, origins, unlisted)
    write_text(out / "index.html", page)
    stage_state.write(root, "describe", digest=stage_state.digest(coverage))
    return facts


def _facts(found: Sequence[Record]) -> dict[str, Any]:
    """Of the clips of a split that can be used."""
    captions = [text for r in found for text in r.captions]
    labels = Counter(r.label for r in found if r.label is not None)
    return {
        "seconds": _spread([r.seconds for r in found]),
        "fps": _spread([r.fps for r in found]),
        "frames": _spread([r.frames for r in found]),
        "captions": len(captions),
        "words": _spread([len(text.split()) for text in captions]),
        "classes": len(labels),
        "clips_per_class": _spread(list(labels.values())),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Smallest, median, mean, largest; None of nothing."""
    if not values:
        return None
    return {
        "min": min(values),
        "median": statistics.median(values),
        "mean": statistics.fmean(values),
        "max": max(values),
    }


ROWS = {
    "expected": "clips expected",
    "listed": "clips listed",
    "present": "videos there",
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


def _table(facts: dict[str, dict[str, Any]]) -> list[list[str]]:
    """Header and rows; spreads as smallest / median / largest."""
    shares = {s: f["decodable"] / max(1, f["expected"]) for s, f in facts.items()}
    rows = [["", *facts]]
    for key, label in ROWS.items():
        cells = [
            f"{100 * shares[s]:.1f} %" if key == "share" else _cell(f[key])
            for s, f in facts.items()
        ]
        if any(cell not in ("", "0") for cell in cells) or key in training_lists.COUNTS:
            rows.append([label, *cells])
    return rows


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return " / ".join(f"{value[k]:,.6g}" for k in ("min", "median", "max"))
    return f"{value:,}"


def _markdown(table: list[list[str]]) -> str:
    head, *rows = (f"| {' | '.join(row)} |" for row in table)
    rule = "|" + "---|" * len(table[0])
    return "\n".join([head, rule, *rows]) + "\n"


def _page(
    dataset: Dataset,
    table: list[list[str]],
    facts: dict[str, dict[str, Any]],
    reasons: dict[str, int],
    origins: dict[str, int],
    unlisted: int,
) -> str:
    e = html.escape
    about = {
        "licence": dataset.licence,
        "citation": dataset.citation,
        "lists": dataset.source,
        "the official code": dataset.official,
    }
    parts = [f"<h1>{e(dataset.title or dataset.name)}</h1>"]
    parts += [f"<p><b>{k}</b>: {e(v)}</p>" for k, v in about.items() if v]
    parts.append("<table>")
    for row in table:
        parts.append("<tr>" + "".join(f"<td>{e(cell)}</td>" for cell in row) + "</tr>")
    parts.append("</table><p>Three numbers are the smallest, the median and the largest.</p>")
    notes = [
        f"{n:,} longer videos have clips in both of {pair}" for pair, n in origins.items() if n
    ]
    notes += [f"{unlisted:,} videos are in no list"] if unlisted else []
    notes += [f"{n:,} videos cannot be read: {why}" for why, n in reasons.items()]
    parts += [f"<p>{e(note)}</p>" for note in notes]
    for name in facts:
        if facts[name]["decodable"]:
            parts.append(f'<h2>{e(name)}</h2><img src="{e(name)}.jpg" alt="frames of {e(name)}">')
    style = "body{font:15px sans-serif;margin:2em;max-width:70em}td{padding:.2em 1em .2em 0}"
    title = e(dataset.name)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<style>{style}</style>{''.join(parts)}</html>\n"
    )
