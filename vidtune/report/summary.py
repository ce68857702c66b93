"""What a run of the pipeline found, in five lines, and what its scale cannot decide, in one."""

from collections.abc import Iterable

from vidtune.plan import Plan
from vidtune.report import expected, verdicts
from vidtune.report.cells import Cell
from vidtune.report.claims import Finding, findings
from vidtune.report.comparisons import STATUSES, learned
from vidtune.report.expected import WATCHED
from vidtune.report.numbers import references
from vidtune.report.numbers.result_files import Outcomes, read_outcomes
from vidtune.report.numbers.rows import Row, of_scale_seeds, rows_from_csv

SAID = {"holds": "hold", "exceeded": "exceed", "fails": "fail"}  # of several tests
SHOWN = 5  # numbers outside their range that are named


def read(plan: Plan) -> list[str]:
    """The five lines, from rows.csv and the results folder; none before rows.csv is written."""
    path = plan.root / "rows.csv"
    if not path.is_file():
        return []
    rows = of_scale_seeds(plan, rows_from_csv(path, plan))
    return lines(plan, rows, read_outcomes(plan), findings(plan, rows), verdicts.cells(plan, rows))


def lines(
    plan: Plan, rows: list[Row], outcomes: Outcomes, tested: list[Finding], cells: list[Cell]
) -> list[str]:
    """The premise, motion, the papers' learned claims, counted cells, the expected range."""
    return [
        f"premise: {_premise(plan, outcomes)}",
        f"motion: {_motion(plan, rows)}",
        f"learned claims of the papers: {_claims(tested)}",
        f"counted: {_counted(cells)}",
        f"expected range: {_expected(plan, rows, outcomes)}",
    ]


def _premise(plan: Plan, outcomes: Outcomes) -> str:
    if not plan.premises:
        return "none: no backbone of this scale is pre-trained here"
    checks = [(t, c) for p in outcomes.premises.values() for t, c in p.items() if t in WATCHED]
    texts = []
    for task, check in checks:
        probe, holds = check["probe"], all(check["holds"].values())
        low, high = (100 * end for end in probe["chance"])
        texts.append(
            f"{'holds' if holds else 'does not hold'} for {task} (appearance "
            f"{100 * min(check['zero_shot'].values()):.1f} % or more; a probe within twins "
            f"{100 * probe['within_pairs']:.1f} %, chance {low:.1f} to {high:.1f})"
        )
    return "; ".join(texts) or "not checked yet"


def _motion(plan: Plan, rows: list[Row]) -> str:
    """The means of the variants that the controls compare: all that is seen, and within twins."""
    values, texts = learned(plan, rows).values, []
    for task, watched in WATCHED.items():
        main = plan.config.metrics[next(iter(watched))]
        means = []
        for variant in expected.controls(plan):
            known = [values.get((variant, m)) for m in (main.name, "pair")]
            if plan.models[variant].task == task and all(known):
                one, twins = (sum(v.values()) / len(v) for v in known if v)
                means.append(f"{variant.split('/')[1]} {one:.1f} ({twins:.1f})")
        chance = references.values(rows, task, main.name).get("chance")
        if means:
            level = f"chance {chance:.1f} (50.0), " if chance is not None else ""
            texts.append(f"{task}, {main.label} (within twins) in %: {level}{', '.join(means)}")
    return "; ".join(texts) or ("no twins among these videos" if values else "nothing learned yet")


def _claims(tested: list[Finding]) -> str:
    """How many tests that borrow nothing of print have which status, with the names of their claims;
    repeated ones count once."""
    every = [f for f in tested if f.ours_alone and f.kind == "learned"]
    tests, texts = [f for f in every if not f.repeats], []
    for status in (s for s in STATUSES if s != "exceeded"):  # by intervals: none exceeds a claim
        names = [f.claim.split("/")[1] for f in tests if f.ours == status]
        named = f" ({', '.join(dict.fromkeys(names))})" if names and status != "not judged" else ""
        texts.append(f"{len(names)} {SAID.get(status, status)}{named}")
    if lacking := sum(f.lacks_rows for f in tests):
        texts[-1] += f", {lacking} of them because a row is not trained at this scale"
    repeated = len(every) - len(tests)
    again = f", of which {repeated} repeat another and are not counted again" if repeated else ""
    return f"on our numbers alone, of {len(every)} tests{again}, {', '.join(texts)}"


def _counted(cells: list[Cell]) -> str:
    known = [c for c in cells if c.kind == "counted" and c.verdict != "not run"]
    count = {v: sum(c.verdict == v for c in known) for v in verdicts.VERDICTS}
    bare = sum(c.verdict == "off" and not c.reason for c in known)
    off = f"{count['off']} off, " + (f"{bare} without a reason" if bare else "each with a reason")
    parts = [f"{count['match']} of {len(known)} cells match print"]
    parts += [off] if count["off"] else []
    parts += [f"{count['not comparable']} not comparable"] if count["not comparable"] else []
    return "; ".join(parts)


def _expected(plan: Plan, rows: list[Row], outcomes: Outcomes) -> str:
    checked = expected.check(plan, rows, outcomes.premises)
    if checked is None or not checked.ranges:
        return f"none is known of scale {plan.scale.name}"
    outside = checked.outside
    if not outside:
        return f"all {checked.ranges} numbers are within that of a healthy run"
    named = "; ".join(map(str, outside[:SHOWN])) + ("; ..." if len(outside) > SHOWN else "")
    return f"{len(outside)} of {checked.ranges} numbers are outside that of a healthy run: {named}"


def limits(plan: Plan, tested: Iterable[Finding]) -> str:
    """What a scale of generated videos cannot decide; "" of another scale."""
    if not plan.generated:
        return ""
    seen: dict[str, list[float]] = {}
    for one in (one for f in tested if f.of_paper for one in f.comparisons):
        if one.half is not None:
            seen.setdefault(one.metric, []).append(one.half)
    spans = []
    for metric, halves in seen.items():
        ends = dict.fromkeys(f"{end:.1f}" for end in (min(halves), max(halves)))
        spans.append(f"{' to '.join(ends)} points of {plan.config.metrics[metric].label}")
    smallest = f" (here {', '.join(spans)})" if spans else ""
    return (
        f"What scale {plan.scale.name} cannot decide: differences below the smallest visible one"
        f"{smallest}; what a larger trunk gains, because it has one small trunk; anything about real "
        "appearance, because its videos are generated."
    )
