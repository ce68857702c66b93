"""Which real datasets the runs of a plan can use, and what a user must provide for the others.

Nothing large is downloaded unasked: an open dataset is fetched where `fetch` in config.yaml names
it, or by `vidtune data fetch`; otherwise it is listed beside the gated datasets.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidtune.datasets import dataset_paths, stage_state
from vidtune.datasets.source_files import absent, steps
from vidtune.datasets.stages import STAGES, training_waits_for
from vidtune.plan import Plan
from vidtune.spec import Dataset, Source

# own: the user wrote lists and manifest; placed: all files are on disk; open: a run may fetch the
# rest; absent: the user must provide something
Readiness = Literal["generated", "own", "placed", "open", "absent"]


@dataclass(frozen=True)
class Absent:
    """A dataset whose files the user must provide."""

    dataset: Dataset
    root: Path
    sources: tuple[Source, ...]  # the absent ones, maybe of the dataset whose files it shares
    runs: int  # how many wait for it


def readiness(plan: Plan, dataset: Dataset) -> Readiness:
    """Return how far a dataset is, judged by the files in its folder."""
    root = _root(plan, dataset)
    if dataset.generated:
        return "generated"
    if (root / "manifest.json").exists() and not stage_state.state_file(root, "index").exists():
        return "own"
    if dataset.folder:
        return "placed" if dataset_paths.raw(dataset, root).is_dir() else "absent"
    absent, owner = _absent_sources(plan, dataset), _owner(plan, dataset)
    if owner.sources and not absent:
        return "placed"
    gated = any(s.gated for s in absent)
    return "open" if owner.name in _to_fetch(plan) and not gated else "absent"


def _root(plan: Plan, dataset: Dataset) -> Path:
    return Path(plan.config.settings.data) / dataset.name


def _owner(plan: Plan, dataset: Dataset) -> Dataset:
    """The dataset whose files this one uses: another one's, or its own."""
    return plan.config.datasets[dataset.shares or dataset.name]


def _to_fetch(plan: Plan) -> set[str]:
    """Names of the datasets whose files a run may download."""
    return {_owner(plan, plan.config.datasets[n]).name for n in plan.config.settings.fetch}


def _absent_sources(plan: Plan, dataset: Dataset) -> list[Source]:
    home = dataset_paths.home(dataset, _root(plan, dataset))
    return absent(_owner(plan, dataset).sources, home)


def stage_before(plan: Plan, name: str, stage: str) -> tuple[str, str] | None:
    """The (dataset, stage) that a stage waits for; None where no rule makes its input.

    It depends on what is declared, never on what is on disk, so that no job runs twice.
    """
    dataset = plan.config.datasets[name]
    if stage == "fetch":
        return None
    if stage == "extract":
        return (name, "fetch") if name in _to_fetch(plan) else None
    if stage == "split":
        return None if dataset.folder else (dataset.shares or name, "extract")
    if stage == "describe":
        return name, training_waits_for(dataset)
    order = list(STAGES)
    return name, order[order.index(stage) - 1]


def readiness_by_name(plan: Plan) -> dict[str, Readiness]:
    """The readiness of every dataset that a run of the plan reads."""
    names = dict.fromkeys(run.dataset.name for run in plan.runs.values())
    return {name: readiness(plan, plan.config.datasets[name]) for name in names}


def absent_datasets(plan: Plan) -> list[Absent]:
    """The datasets that the user must provide."""
    waiting = [run.dataset.name for run in plan.runs.values()]
    return [
        Absent(d, _root(plan, d), tuple(_absent_sources(plan, d)), waiting.count(d.name))
        for name, at in readiness_by_name(plan).items()
        if at == "absent" and (d := plan.config.datasets[name])
    ]


def describe_absent(datasets: list[Absent]) -> list[str]:
    """The one list of what to provide. The later stages (extract, split, ...) are jobs of a run."""
    out: list[str] = []
    for one in datasets:
        d, home = one.dataset, dataset_paths.home(one.dataset, one.root)
        runs = f"{one.runs} run{'s' if one.runs > 1 else ''}"
        out.append(f"{d.name}: {d.title or d.name} ({runs}), in {home}")
        out += [
            f"    {s.file} ({s.holds}), gated, into downloads/: {'; '.join(steps(s, home))}"
            for s in one.sources
            if s.gated
        ]
        if files := ", ".join(s.file for s in one.sources if not s.gated):
            owner = d.shares or d.name
            out.append(
                f"    {files}: open; `vidtune data fetch {owner}`, "
                f"or fetch: [{owner}] in config.yaml"
            )
        if d.folder:
            out.append(f"    {dataset_paths.raw(d, one.root)}: the folder of your videos and lists")
        elif not one.sources:
            out.append("    manifest.json and <split>.jsonl, as vidtune/data/records.py reads them")
    return out
