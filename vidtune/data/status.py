"""How far each dataset is, stage by stage, what is missing, and the command that comes next."""

from dataclasses import dataclass
from pathlib import Path

from vidtune.data import layout, places, split, state
from vidtune.data.catalogue import expected
from vidtune.spec import SPLITS, Dataset, Source, UserError, load_json

STAGES = ("fetch", "extract", "split", "index", "check", "describe")
MARKS = {True: "done", False: "-"}


@dataclass(frozen=True)
class Status:
    """`stages`: "done", "-" or how far; `coverage`: split -> (decodable, expected)."""

    name: str
    title: str
    stages: dict[str, str]
    coverage: dict[str, tuple[int, int]]
    missing: tuple[str, ...]  # a line each
    next: tuple[str, ...]  # commands and instructions, in order; empty: nothing to do


def of(dataset: Dataset, root: Path) -> Status:
    """Of real videos. Reads no video and opens no address."""
    home = layout.home(dataset, root)
    absent = [s for s in dataset.sources if not s.optional and not places.present(s, home)]
    done = {stage: state.path(root, stage).exists() for stage in STAGES}
    placed = layout.raw(dataset, root).is_dir() and layout.annotations(dataset, root).is_dir()
    bare = (root / "manifest.json").exists() and not done["index"]  # lists made by hand
    stages = {stage: MARKS[done[stage]] for stage in STAGES}
    if dataset.folder or bare:
        stages |= {"fetch": "own", "extract": "own"}
    elif dataset.shares:
        stages |= {"fetch": f"of {dataset.shares}", "extract": f"of {dataset.shares}"}
    elif not done["fetch"]:
        have = len(dataset.sources) - len(absent)
        stages["fetch"] = f"{have}/{len(dataset.sources)}" if have else "-"
    if bare:
        stages |= {"split": "own", "index": "own"}
    commands = [] if bare else _next(dataset, root, absent, done, placed)
    missing = [] if bare or placed else [_missing(s) for s in absent]
    if dataset.folder and not layout.raw(dataset, root).is_dir():
        missing.append(f"{layout.raw(dataset, root)}: the folder of your videos and lists")
    return Status(
        dataset.name,
        dataset.title or dataset.name,
        stages,
        _coverage(dataset, root),
        tuple(missing),
        tuple(commands),
    )


def _missing(source: Source) -> str:
    size = f", {source.bytes:,} bytes" if source.bytes else ""
    how = "gated" if source.gated else source.url
    return f"{source.file} ({source.holds}{size}): {how}"


def _next(
    dataset: Dataset, root: Path, absent: list[Source], done: dict[str, bool], placed: bool
) -> list[str]:
    """What to do, up to and with the first command that must come before the others."""
    name, home = dataset.name, dataset.shares or dataset.name
    if not (placed or dataset.folder):
        owner = layout.home(dataset, root)
        steps = [places.instruction(dataset, s, owner) for s in absent if s.gated]
        if dataset.shares or any(not s.gated for s in absent):
            steps.append(f"vidtune data fetch {home}")
        return [*steps, f"vidtune data extract {home}", f"vidtune data split {name}"]
    if not done["split"] or state.read(root, "split").get("digest") != split.digest(dataset):
        return [f"vidtune data split {name}", f"vidtune data index {name}"]
    for stage in ("index", "check", "describe"):
        if not done[stage]:
            return [f"vidtune data {stage} {name}"]
    return []


def _coverage(dataset: Dataset, root: Path) -> dict[str, tuple[int, int]]:
    """From `coverage.json`; before that, nothing of what is expected."""
    path = layout.coverage(root)
    if path.exists():
        found = load_json(path)
        try:
            return {s: (c["decodable"], c["expected"]) for s, c in found.items()}
        except (AttributeError, KeyError, TypeError):
            raise UserError(
                f"{path}: not a coverage file; run `vidtune data index` again"
            ) from None
    return {s: (0, expected(dataset, s, 0)) for s in SPLITS if s in dataset.expected}


def generated(name: str, root: Path, clips: dict[str, int]) -> Status:
    """Of generated videos, which need none of the stages."""
    there = (root / "manifest.json").exists()
    mark = MARKS[there]
    return Status(
        name,
        "generated videos of moving shapes",
        {stage: "made" if there else mark for stage in STAGES},
        {split_: (n if there else 0, n) for split_, n in clips.items()},
        () if there else ("nothing is downloaded: a run generates them",),
        () if there else ("snakemake --cores all",),
    )


def lines(found: list[Status]) -> list[str]:
    """A table, and below it what is missing and what to do."""
    head = ["dataset", *STAGES, "coverage (readable / expected)"]
    rows = [[s.name, *(s.stages[k] for k in STAGES), _covered(s)] for s in found]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    out = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
    for s in found:
        if s.missing or s.next:
            out += ["", f"{s.name}: {s.title}"]
            out += [f"  missing  {line}" for line in s.missing]
            out += [f"  do       {line}" for line in s.next]
    return out


def _covered(status: Status) -> str:
    return ", ".join(f"{s} {have:,}/{all_:,}" for s, (have, all_) in status.coverage.items())
