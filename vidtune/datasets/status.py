"""How far each dataset is, stage by stage, what is missing, and the command that comes next."""

from dataclasses import dataclass
from pathlib import Path

from vidtune.data import layout
from vidtune.datasets import places, split, state
from vidtune.spec import SPLITS, Dataset, Source, UserError, load_json

STAGES = ("fetch", "extract", "split", "index", "check", "describe")
OF_FILES = ("fetch", "extract")  # done once for datasets that share their files
MARKS = {True: "done", False: "-"}


@dataclass(frozen=True)
class Status:
    """`stages`: "done", "-" or how far; `coverage`: split -> (decodable, expected)."""

    name: str
    title: str
    stages: dict[str, str]
    coverage: dict[str, tuple[int, int]]
    missing: tuple[str, ...]  # files, and under gated ones the steps to them
    next: tuple[str, ...]  # commands, in order; empty: nothing to do


def of(dataset: Dataset, root: Path) -> Status:
    """Of real videos. Reads no video and opens no address."""
    home = layout.home(dataset, root)
    absent = [s for s in dataset.sources if not s.optional and not places.present(s, home)]
    done = {stage: _through(home if stage in OF_FILES else root, stage) for stage in STAGES}
    folders = layout.raw(dataset, root), layout.annotations(dataset, root)
    placed = done["extract"] or all(f.is_dir() for f in folders)
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
    missing = (
        []
        if bare or placed
        else [line for s in absent for line in _missing(s, places.downloads(home))]
    )
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


def _through(root: Path, stage: str) -> bool:
    """Whether a stage came to its end: without one its note has no digest."""
    noted = state.read(root, stage)
    return bool(noted) and noted.get("digest", "") is not None


def _missing(source: Source, downloads: Path) -> tuple[str, ...]:
    """What it is and where it comes from; gated: what to do, a step a line."""
    size = f", {source.bytes:,} bytes" if source.bytes else ""
    what = f"{source.file} ({source.holds}{size})"
    if not source.gated:
        return (f"{what}: {source.url}",)
    steps = (s.replace("<data>", str(downloads.parent.parent)) for s in source.steps)
    numbered = (f"  {i}. {step}" for i, step in enumerate(steps, 1))
    return (f"{what}: by hand, into {downloads}", *numbered)


def _next(
    dataset: Dataset, root: Path, absent: list[Source], done: dict[str, bool], placed: bool
) -> list[str]:
    """The commands that are left, in order."""
    name, owner = dataset.name, dataset.shares or dataset.name
    commands = []
    if not (placed or dataset.folder):
        if dataset.shares or any(not s.gated for s in absent):
            commands.append(f"vidtune data fetch {owner}")
        commands.append(f"vidtune data extract {owner}")
    fresh = done["split"] and state.read(root, "split").get("digest") == split.digest(dataset)
    left = STAGES[2:] if not fresh else [s for s in STAGES[3:] if not done[s]]
    return commands + [f"vidtune data {stage} {name}" for stage in left]


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
    return {s: (0, dataset.expected[s]) for s in SPLITS if s in dataset.expected}


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
