"""How far each dataset is, stage by stage, what is missing, and the commands that come next."""

from dataclasses import dataclass
from pathlib import Path

from vidtune.data import records
from vidtune.datasets import dataset_paths, source_files, split, stage_state
from vidtune.datasets.stages import SHARED, STAGES, stages_of
from vidtune.datasets.training_lists import read_coverage
from vidtune.spec import SPLITS, Dataset, Source, UserError, shown

MARKS = {True: "done", False: "-"}


@dataclass(frozen=True)
class Overview:
    """How far one dataset is."""

    name: str
    title: str
    stages: dict[str, str]  # stage -> "done", "-", "n/a", "own", or how many files of how many
    coverage: dict[str, tuple[int, int]]  # split -> (decodable, expected) clips
    missing: tuple[str, ...]  # files, and below a gated one the steps to it
    next: tuple[str, ...]  # commands, in order; empty: nothing to do


def overview(dataset: Dataset, root: Path) -> Overview:
    """The overview of a real dataset. Reads no video and opens no address."""
    home = dataset_paths.home(dataset, root)
    absent = [s for s in dataset.sources if not s.optional and not source_files.downloaded(s, home)]
    done = {stage: _is_done(dataset, root, stage) for stage in STAGES}
    folders = dataset_paths.raw(dataset, root), dataset_paths.annotations(dataset, root)
    placed = done["extract"] or all(f.is_dir() for f in folders)
    indexed = stage_state.state_file(root, "index").exists()
    by_hand = (root / "manifest.json").exists() and not indexed  # the user wrote the lists
    missing: list[str] = []
    if not by_hand and not placed:
        missing = [line for s in absent for line in _missing(s, home)]
    if dataset.folder and not dataset_paths.raw(dataset, root).is_dir():
        missing.append(f"{dataset_paths.raw(dataset, root)}: the folder of your videos and lists")
    if by_hand:
        later = [] if done["resize"] or not dataset.resized else ["resize"]
        commands = [f"vidtune data {stage} {dataset.name}" for stage in later]
    else:
        commands = _next(dataset, root, absent, done, placed)
    return Overview(
        dataset.name,
        dataset.title or dataset.name,
        _marks(dataset, done, len(absent), by_hand),
        _coverage(dataset, root),
        tuple(missing),
        tuple(commands),
    )


def _is_done(dataset: Dataset, root: Path, stage: str) -> bool:
    """Whether a stage has run to its end (only then its state has a digest), and after what it is made
    from."""
    if stage == "resize":  # `index` and `check` list the originals again
        try:
            records.check_copies(dataset, root)
        except UserError:
            return False
        return True
    state = stage_state.load(dataset_paths.home(dataset, root) if stage in SHARED else root, stage)
    if not state or state.get("digest", "") is None:
        return False
    if stage == "split":
        at = stage_state.state_file(root, stage).stat().st_mtime_ns
        return all(p.stat().st_mtime_ns <= at for p in split.own_lists(dataset, root))
    made_of = state.get("made_of")
    return made_of is None or made_of == stage_state.made_of(root, stage)


def _marks(dataset: Dataset, done: dict[str, bool], absent: int, by_hand: bool) -> dict[str, str]:
    """What the table shows of each stage; `absent`: how many sources are not downloaded."""
    marks = {stage: MARKS[done[stage]] for stage in STAGES}
    if dataset.folder or by_hand:
        marks |= {"fetch": "own", "extract": "own"}
    elif dataset.shares:
        marks |= {"fetch": f"of {dataset.shares}", "extract": f"of {dataset.shares}"}
    elif not done["fetch"] and absent < len(dataset.sources):
        marks["fetch"] = f"{len(dataset.sources) - absent}/{len(dataset.sources)}"
    if by_hand:
        marks |= {"split": "own", "index": "own"}
    return marks | {stage: "n/a" for stage in STAGES if stage not in stages_of(dataset)}


def _missing(source: Source, root: Path) -> list[str]:
    """What an absent file is and where it comes from; what to do for a gated one, a step a line."""
    size = f", {source.bytes:,} bytes" if source.bytes else ""
    file = f"{source.file} ({source.holds}{size})"
    if not source.gated:
        return [f"{file}: {shown(source.urls[0])}"]
    steps = source_files.steps(source, root)
    return [f"{file}: by hand, into {source_files.downloads(root)}", *(f"  {s}" for s in steps)]


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
    later = [stage for stage in stages_of(dataset) if stage not in SHARED]
    state = stage_state.load(root, "split")
    if done["split"] and state.get("digest") == split.declaration_hash(dataset):
        later = [stage for stage in later if not done[stage]]
    return commands + [f"vidtune data {stage} {name}" for stage in later]


def _coverage(dataset: Dataset, root: Path) -> dict[str, tuple[int, int]]:
    """The counts in `coverage.json`; before `index` has written it, 0 of what is expected."""
    path = dataset_paths.coverage(root)
    if not path.exists():
        return {s: (0, dataset.expected[s]) for s in SPLITS if s in dataset.expected}
    counts = read_coverage(root)
    return {s: (c["decodable"], c["expected"]) for s, c in counts.items()}


def generated(name: str, root: Path, clips: dict[str, int]) -> Overview:
    """The overview of generated videos, which need none of the stages."""
    made = (root / "manifest.json").exists()
    return Overview(
        name,
        "generated videos of moving shapes",
        dict.fromkeys(STAGES, "made" if made else "-"),
        {split_: (n if made else 0, n) for split_, n in clips.items()},
        () if made else ("nothing is downloaded: a run generates them",),
        () if made else ("snakemake --cores all",),
    )


def format_table(overviews: list[Overview]) -> list[str]:
    """The lines of a table, and below it what is missing and what to do."""
    head = ["dataset", *STAGES, "coverage (readable / expected)"]
    rows = [[o.name, *(o.stages[k] for k in STAGES), _format_coverage(o)] for o in overviews]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    out = [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in [head, *rows]
    ]
    for o in overviews:
        if o.missing or o.next:
            out += ["", f"{o.name}: {o.title}"]
            out += [f"  missing  {line}" for line in o.missing]
            out += [f"  do       {line}" for line in o.next]
    return out


def _format_coverage(one: Overview) -> str:
    return ", ".join(f"{s} {have:,}/{all_:,}" for s, (have, all_) in one.coverage.items())
