"""The rows whose memory is predicted: those whose memory a paper prints, under known conditions."""

from fnmatch import fnmatch
from pathlib import Path

from vidtune.spec import Assumed, Model, Paper, Predicting, Prediction, UserError

MEMORY = {"train_gb", "train_gb_log", "train_mb", "infer_gb", "infer_mb"}  # metrics


def measured_under(paper: Paper) -> dict[str, Assumed]:
    """Variant -> the conditions that its printed memory and speed are taken to share."""
    out: dict[str, Assumed] = {}
    for numbers in paper.numbers:
        for row in numbers.rows:
            under = numbers.measured_under(row)
            if under and row in paper.variants:
                out.setdefault(row, under)
    return out


def check_measured(path: Path, paper: Paper) -> None:
    """Every variant has one set of conditions, and what is measured or fitted is a variant."""
    known = measured_under(paper)
    for k, numbers in enumerate(paper.numbers):
        for row in [row for row in numbers.rows if row in known]:
            under, key = numbers.measured_under(row), f"{path}: numbers.{k}.assumed"
            if under and under.batch is None:
                raise UserError(f"{key}.batch: missing, and the table states none of {row}; add it")
            if under and under.model_copy(update={"source": known[row].source}) != known[row]:
                raise UserError(f"{key}: {row}: an earlier table assumes otherwise; fix one")
    fitted = paper.fit.rows if paper.fit else ()
    extra = [row for group in paper.also_measured for row in group.rows]
    for key, rows in {"fit.rows": fitted, "also_measured": extra}.items():
        for row in rows:
            if row not in paper.variants:
                raise UserError(f"{path}: {key}: {row!r} is no variant; fix the name")
    for row in extra:
        if row in known or extra.count(row) > 1:
            raise UserError(f"{path}: also_measured: {row}: measured already; drop it")


def predicting(paper: Paper, models: dict[str, Model], only: tuple[str, ...]) -> Predicting:
    """The job of one paper: its rows that match a pattern of `only`."""
    fit = paper.fit
    if fit:
        fit = fit.model_copy(update={"rows": tuple(f"{paper.name}/{row}" for row in fit.rows)})
    rows = []
    for row, under in measured_under(paper).items():
        name = f"{paper.name}/{row}"
        where = tuple(n.where for n in paper.numbers if MEMORY & set(n.rows.get(row, ())))
        if where and any(fnmatch(name, pattern) for pattern in only):
            given = under.model_dump(exclude={"source"})
            rows.append(Prediction(model=models[name], where=where, fit=fit, **given))
    return Predicting(paper=paper.name, rows=tuple(rows))
