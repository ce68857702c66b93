"""Learned results of a scale that are kept in git, and how their verdicts agree with a user's own.

<results>/reference/<scale>/rows.csv     the learned rows, as in `numbers/rows.py`
<results>/reference/<scale>/about.json   machine, date, versions, times, the premise, every learned test
<results>/reference/<scale>/tables/, plots/, contradictions.json   what the report shows, to be looked at
<results>/reference/claims.md            the verdicts of all scales that are kept, side by side
"""

import datetime
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from vidtune.plan import Plan
from vidtune.plan.chosen import run_all
from vidtune.report import outputs
from vidtune.report.claims import Finding, findings
from vidtune.report.comparisons import Status
from vidtune.report.numbers.result_files import read_outcomes
from vidtune.report.numbers.rows import Row, published, rows_from_csv, rows_to_csv
from vidtune.spec import Frozen, UserError, load_json, parse, write_json, write_text
from vidtune.spec.names import Name
from vidtune.spec.read import write_bytes
from vidtune.spec.results import Premised


class ReferenceRun(Frozen):
    """`about.json`."""

    scale: Name
    says: str
    seeds: tuple[int, ...]
    machine: str  # as its owner describes it
    devices: tuple[str, ...]
    date: str  # when the results were kept, ISO 8601
    seconds: dict[str, float]  # step -> of all its jobs together
    commits: tuple[str, ...]
    versions: dict[str, tuple[str, ...]]
    stale: int  # results that were made by other code than that of the day
    premises: dict[str, dict[str, Any]]  # by backbone, as premise.json
    learned: tuple[Finding, ...]  # every test of a learned claim


class Beside(NamedTuple):
    """One learned test at several scales; a scale that has no such test has None."""

    test: Finding  # as this scale has it
    by_scale: dict[str, Finding | None]

    @property
    def is_reversed(self) -> bool:
        """Whether one scale decides a pair one way and another the other way."""
        ways: dict[tuple[str, str], set[Status]] = {}
        for found in filter(None, self.by_scale.values()):
            for one in found.comparisons:
                ways.setdefault((one.better, one.worse), set()).add(one.status)
        return any({"holds", "fails"} <= statuses for statuses in ways.values())


def folder(plan: Plan, scale: str) -> Path:
    """Where the reference results of a scale stand, whatever the scale of the plan."""
    return Path(plan.config.settings.results) / "reference" / scale


def keep(plan: Plan, machine: str) -> Path:
    """Write the learned results of the plan's scale, and return their folder.

    Raises `UserError` unless every run has been evaluated.
    """
    rows, outcomes = rows_from_csv(plan.root / "rows.csv", plan), read_outcomes(plan)
    if outcomes.done < outcomes.runs:
        raise UserError(
            f"{plan.root}: {outcomes.done} of {outcomes.runs} runs are evaluated; "
            f"run `{run_all(plan.config)}` first"
        )
    learned = [r for r in rows if r.source == "ours" and r.kind == "learned"]
    about = ReferenceRun(
        scale=plan.scale.name,
        says=plan.scale.says,
        seeds=plan.scale.seeds,
        machine=machine,
        devices=outcomes.devices,
        date=datetime.date.today().isoformat(),
        seconds=outcomes.seconds,
        commits=outcomes.commits,
        versions=outcomes.versions,
        premises=outcomes.premises,
        stale=len({r.where for r in learned if r.stale}),
        learned=judge(plan, rows),
    )
    place = folder(plan, plan.scale.name)
    write_text(place / "rows.csv", rows_to_csv(learned))
    write_json(place / "about.json", about)
    _keep_shown(plan, place)
    write_claims(plan)
    return place


def _keep_shown(plan: Plan, place: Path) -> None:
    """Copy tables as printed, pictures and contradictions, in the place of those that were kept."""
    for folder in ("tables", "plots"):
        shutil.rmtree(place / folder, ignore_errors=True)
    for path in outputs.files(plan):
        asked = outputs.parts_of(path)[1] in ("md", "png") or path.name == "contradictions.json"
        if asked and path.is_file():
            write_bytes(place / path.relative_to(plan.root), path.read_bytes())


def judge(plan: Plan, rows: list[Row]) -> tuple[Finding, ...]:
    """Every test of a learned claim on rows of the plan's scale, print's among them."""
    return tuple(f for f in findings(plan, rows) if f.kind == "learned")


def judge_again(plan: Plan) -> Path:
    """Judge the kept rows of the plan's scale by today's claims and statistics; return their folder."""
    place, known = folder(plan, plan.scale.name), read(plan).get(plan.scale.name)
    if known is None:
        raise UserError(f"{place}: no reference results to judge again; keep some with --machine")
    rows = [*published(plan), *rows_from_csv(place / "rows.csv", plan)]
    write_json(place / "about.json", known.model_copy(update={"learned": judge(plan, rows)}))
    write_claims(plan)
    return place


def write_claims(plan: Plan) -> None:
    """Write `claims.md` of all reference results."""
    runs = read(plan)
    (_, first), *_ = runs.items()
    lines = _beside(first.learned, {name: run.learned for name, run in runs.items()})
    text = [
        "# Learned tests at the scales whose results are kept",
        "",
        "Differences over paired seeds in the metric's unit, with 95 % intervals; the published ones "
        "are of other models and real videos. Written by `vidtune reference`.",
        "",
        *(
            f"- {name}: {run.says}; seeds {', '.join(map(str, run.seeds))}"
            for name, run in runs.items()
        ),
        "",
        f"| Test | Published | {' | '.join(runs)} | |",
        "|---|---|" + "---|" * len(runs) + "---|",
    ]
    for line in lines:
        digits = plan.config.metrics[line.test.metric].digits
        published = (c.published for c in line.test.comparisons)
        cells = [
            f"`{line.test.claim}`: {line.test.test}" + (" (control)" if line.test.control else ""),
            "; ".join("" if p is None else f"{p:+.{digits}f}" for p in published),
            *(_cell(found, digits) for found in line.by_scale.values()),
            "reversed" if line.is_reversed else "",
        ]
        text.append(f"| {' | '.join(cells)} |")
    write_text(folder(plan, "claims.md"), "\n".join([*text, ""]))


def _cell(found: Finding | None, digits: int) -> str:
    if found is None:
        return ""
    shown = (one.interval(digits) for one in found.comparisons if one.gain is not None)
    return "; ".join([f"**{found.ours}**", *shown])


def read(plan: Plan) -> dict[str, ReferenceRun]:
    """Scale -> its reference results, in the order in which scales are declared."""
    return {name: _about(path) for name, path in paths(plan).items()}


def _about(path: Path) -> ReferenceRun:
    run = parse(ReferenceRun, load_json(path, advice="restore it from git"), path)
    for backbone, found in run.premises.items():
        parse(Premised, found, path, ("premises", backbone))
    return run


def paths(plan: Plan) -> dict[str, Path]:
    """Scale -> the `about.json` of its reference results, where there are any."""
    known = {name: folder(plan, name) / "about.json" for name in plan.config.scales}
    return {name: path for name, path in known.items() if path.is_file()}


def beside(plan: Plan, tested: list[Finding], references: dict[str, ReferenceRun]) -> list[Beside]:
    """The learned tests of this scale, each beside the reference results of other scales; without
    those that none of them judges."""
    learned = [f for f in tested if f.kind == "learned"]
    own = {plan.scale.name: learned}
    return _beside(learned, own | {n: r.learned for n, r in references.items() if n not in own})


def _beside(tested: Iterable[Finding], by_scale: dict[str, Iterable[Finding]]) -> list[Beside]:
    known = {name: {(f.claim, f.test): f for f in found} for name, found in by_scale.items()}
    lines = []
    for f in tested:
        line = Beside(f, {name: by.get((f.claim, f.test)) for name, by in known.items()})
        if any(found and found.ours != "not judged" for found in line.by_scale.values()):
            lines.append(line)
    return lines
