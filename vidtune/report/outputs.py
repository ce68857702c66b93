"""The files that show a scale's results: tables, plots, claims, the page. Imports no plotting library."""

from collections.abc import Iterable
from pathlib import Path

from vidtune.plan import Plan
from vidtune.spec.errors import unknown

TABLE_FORMS = ("md", "full.md", "csv", "tex")
PLOT_FORMS = ("svg", "pdf", "png", "csv")
PLOTS = (
    "premise",
    "gflops",
    "tokens",
    "memory",
    "memory-phases",
    "pareto",
    "accuracy",
    "tradeoff",
    "ablations",
    "sensitivity",
    "shares",
    "classes",
    "attention",
    "merges",
    "training",
)
TEXTS = (
    "claims.csv",
    "claims.json",
    "contradictions.csv",
    "contradictions.json",
    "references.bib",
    "paper.tex",
)


def files(plan: Plan) -> list[Path]:
    """Every file, the page last; a plot that cannot be drawn has files that say why."""
    tables = [f"tables/{name}.{form}" for name in plan.config.tables for form in TABLE_FORMS]
    plots = [f"plots/{name}.{form}" for name in PLOTS for form in PLOT_FORMS]
    return [plan.root / name for name in (*tables, *plots, *TEXTS, "report.html")]


def parts_of(path: Path) -> tuple[str, str]:
    """A file's name and form: "tempme-section-4.1", "full.md"; names of tables may hold full stops."""
    full = path.name.endswith(".full.md")
    name = path.name.removesuffix(".full.md") if full else path.stem
    return name, "full.md" if full else path.suffix[1:]


def choose(plan: Plan, only: Iterable[str | Path]) -> set[Path]:
    """The files of `only`; without any, all. Raises `UserError` for a file that shows no results."""
    known = files(plan)
    chosen = {Path(path) for path in only}
    for path in sorted(chosen - set(known)):
        raise unknown("--only", str(path), map(str, known))
    return chosen or set(known)
