"""Say of every claim of the papers whether our numbers reproduce it, test by test.

Counted numbers are computed where no result holds them.
"""

import argparse
from collections.abc import Iterator

from vidtune.cli.ask.verify import with_counted
from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.plan import Plan
from vidtune.report import answer, claims
from vidtune.report.numbers import results
from vidtune.spec import ClaimTest
from vidtune.spec.errors import unknown


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paper", nargs="?", help="only this paper's claims")
    add_plan_json(parser)


def run(args: argparse.Namespace) -> None:
    plan = read_plan(args)
    if args.paper is not None and args.paper not in plan.config.papers:
        raise unknown("paper", args.paper, plan.config.papers)
    rows = with_counted(plan, results.gather(plan), _counted(plan, args.paper))
    tested = [f for f in claims.findings(plan, rows) if _is_of(f.claim, args.paper)]
    lines = list(_lines(plan, answer.claim_lines(tested)))
    print_result(args, [f.model_dump(mode="json") for f in tested], "\n".join(lines))


def _is_of(name: str, paper: str | None) -> bool:
    """Whether a claim or variant ("<paper>/...") is of the paper; of any where none is asked for."""
    return paper is None or name.startswith(f"{paper}/")


def _counted(plan: Plan, paper: str | None) -> set[str]:
    """The variants that a counted test compares."""

    def rows_of(test: ClaimTest) -> tuple[str | None, ...]:
        return test.best_first or (test.of, test.against)

    return {
        name
        for one in plan.config.papers.values()
        for claim in one.claims.values()
        for test in claim.tests
        if plan.config.metrics[test.metric].kind == "counted"
        for name in (f"{one.name}/{row}" for row in rows_of(test))
        if _is_of(name, paper) and name in plan.variants
    }


def _lines(plan: Plan, known: list[answer.ClaimLine]) -> Iterator[str]:
    for line in known:
        verdict = "control" if line.control else line.verdict
        yield f"{verdict:12} {line.claim}: {line.says} ({line.where})"
        for f in line.every:
            digits = plan.config.metrics[f.metric].digits
            apart = "" if f.ours_alone else " [a control]" if f.control else f" [{f.numbers}]"
            yield f"  {f.ours:12} {f.test}{apart}"
            yield from (f"    {text}" for text in (f.detail, f.beside) if text)
            yield from (f"    {one.text(digits)}" for one in f.comparisons)
    counts = {
        word: sum(c.verdict == word for c in known if not c.control) for word in answer.CLAIMS
    }
    yield ", ".join(f"{n} {word}" for word, n in counts.items() if n)
