"""Which real datasets a plan's runs can use, and what a user must provide for the others.

Nothing large is downloaded unasked: an open dataset is fetched where config.yaml's `fetch` names
it, or by `vidtune data fetch`; otherwise it is on the list beside the gated ones.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vidtune.data import layout
from vidtune.datasets import places, state
from vidtune.plan import Plan
from vidtune.spec import Dataset, Source

# in this order, each with a rule; `resize` for those that ask for it
STAGES = ("fetch", "extract", "split", "index", "check", "resize", "describe")

# own: lists and manifest written by hand; placed: all files are here; open: to be fetched;
# absent: something must be provided
Standing = Literal["generated", "own", "placed", "open", "absent"]


@dataclass(frozen=True)
class Need:
    """A dataset that is not here."""

    dataset: Dataset
    root: Path
    lacking: tuple[Source, ...]  # of its own, or of the dataset whose files it shares
    runs: int  # that wait for it


def standing(plan: Plan, dataset: Dataset) -> Standing:
    """How far a dataset is, from what lies in its folder."""
    root = Path(plan.config.settings.data) / dataset.name
    if dataset.generated:
        return "generated"
    if (root / "manifest.json").exists() and not state.path(root, "index").exists():
        return "own"
    if dataset.folder:
        return "placed" if layout.raw(dataset, root).is_dir() else "absent"
    lacking, owner = _lacking(plan, dataset), _owner(plan, dataset)
    if owner.sources and not lacking:
        return "placed"
    gated = any(s.gated for s in lacking)
    return "open" if owner.name in _asked(plan) and not gated else "absent"


def _owner(plan: Plan, dataset: Dataset) -> Dataset:
    """The dataset whose files these are."""
    return plan.config.datasets[dataset.shares or dataset.name]


def _asked(plan: Plan) -> set[str]:
    """The owners of what a run may download."""
    return {_owner(plan, plan.config.datasets[n]).name for n in plan.config.settings.fetch}


def _lacking(plan: Plan, dataset: Dataset) -> list[Source]:
    home = layout.home(dataset, Path(plan.config.settings.data) / dataset.name)
    done = state.read(home, "extract").get("archives", {})
    sources = _owner(plan, dataset).sources
    return [s for s in sources if not (s.optional or places.settled(s, home, done))]


def before(plan: Plan, name: str, stage: str) -> tuple[str, str] | None:
    """(dataset, stage) that `stage` of a dataset waits for; None: for nothing that a rule makes.

    It depends on what is declared, never on what is there, so that no job runs twice.
    """
    dataset = plan.config.datasets[name]
    if stage == "extract":
        return (name, "fetch") if name in _asked(plan) else None
    if stage == "split":
        return None if dataset.folder else (dataset.shares or name, "extract")
    if stage == "fetch":
        return None
    if stage == "describe":
        return name, used(dataset)
    return name, STAGES[STAGES.index(stage) - 1]


def used(dataset: Dataset) -> str:
    """The stage that training waits for."""
    return "resize" if dataset.resized else "check"


def standings(plan: Plan) -> dict[str, Standing]:
    """Of every dataset that a run of the plan reads."""
    names = dict.fromkeys(run.dataset.name for run in plan.runs.values())
    return {name: standing(plan, plan.config.datasets[name]) for name in names}


def needs(plan: Plan) -> list[Need]:
    """The datasets that must be provided, with the number of runs that wait for each."""
    absent = [name for name, found in standings(plan).items() if found == "absent"]
    waiting = [run.dataset.name for run in plan.runs.values()]
    return [_need(plan, plan.config.datasets[n], waiting.count(n)) for n in absent]


def _need(plan: Plan, dataset: Dataset, runs: int) -> Need:
    root = Path(plan.config.settings.data) / dataset.name
    return Need(dataset, root, tuple(_lacking(plan, dataset)), runs)


def lines(found: list[Need]) -> list[str]:
    """The one list of what to provide. What follows (extract, split, ...) a run does itself."""
    out: list[str] = []
    for need in found:
        d, home = need.dataset, layout.home(need.dataset, need.root)
        runs = f"{need.runs} run{'s' if need.runs > 1 else ''}"
        out.append(f"{d.name}: {d.title or d.name} ({runs}), in {home}")
        for s in need.lacking:
            if s.gated:
                out.append(
                    f"    {s.file} ({s.holds}), gated, into downloads/: {places.steps(s, home)}"
                )
        opened = [s.file for s in need.lacking if not s.gated]
        if opened:
            owner = d.shares or d.name
            out.append(
                f"    {', '.join(opened)}: open; `vidtune data fetch {owner}`, "
                f"or fetch: [{owner}] in config.yaml"
            )
        if d.folder:
            out.append(f"    {layout.raw(d, need.root)}: the folder of your videos and lists")
        elif not need.lacking:
            out.append("    manifest.json and <split>.jsonl, as vidtune/data/records.py reads them")
    return out
