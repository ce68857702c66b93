"""`config/memory.yaml` -> the rows whose memory is predicted."""

from collections import Counter
from fnmatch import fnmatch
from pathlib import Path

from vidtune.spec import Model, Paper, UserError, parse, read_yaml
from vidtune.spec.memory import Convention, Memory, Predicting, Prediction

PRINTED = (
    "train_gb",
    "train_gb_log",
    "train_mb",
    "infer_gb",
    "infer_mb",
)  # metrics of printed memory


def read_memory(folder: Path, papers: dict[str, Paper]) -> Memory:
    """The file, its names checked as far as their papers are read."""
    path = folder / "memory.yaml"
    memory = parse(Memory, read_yaml(path), path)
    for paper, conventions in memory.predictions.items():
        if not (folder / "papers" / f"{paper}.yaml").is_file():
            raise UserError(f"{path}: predictions.{paper}: no file papers/{paper}.yaml; fix it")
        rows = [f"{paper}/{row}" for convention in conventions for row in convention.rows]
        _check(path, f"predictions.{paper}", rows, papers)
        for convention in conventions:
            if convention.fit is not None and convention.fit not in memory.fits:
                known = ", ".join(memory.fits)
                raise UserError(
                    f"{path}: predictions.{paper}: fit: unknown {convention.fit!r}; known: {known}"
                )
    for name, fit in memory.fits.items():
        _check(path, f"fits.{name}.rows", list(fit.rows), papers)
    return memory


def _check(path: Path, where: str, rows: list[str], papers: dict[str, Paper]) -> None:
    twice = [row for row, times in Counter(rows).items() if times > 1]
    if twice:
        raise UserError(f"{path}: {where}: {twice[0]} stands there twice; drop one")
    for row in rows:
        paper, _, variant = row.partition("/")
        if paper in papers and variant not in papers[paper].variants:
            raise UserError(f"{path}: {where}: {variant!r} is no variant of {paper}; fix the name")


def predicting(
    paper: Paper, memory: Memory, models: dict[str, Model], only: tuple[str, ...]
) -> Predicting:
    """The job of one paper: its rows that match a pattern of `only`."""
    rows = []
    for convention in memory.predictions.get(paper.name, ()):
        for row in convention.rows:
            name = f"{paper.name}/{row}"
            if any(fnmatch(name, pattern) for pattern in only):
                rows.append(
                    Prediction(
                        model=models[name],
                        where=_tables(paper, row),
                        batch=convention.batch,
                        precision=convention.precision,
                        attention=convention.attention,
                        fit=memory.fits[convention.fit] if convention.fit else None,
                    )
                )
    return Predicting(paper=paper.name, rows=tuple(rows))


def convention_of(memory: Memory, name: str) -> Convention | None:
    """How a variant's memory is predicted beside print; None where it is not."""
    paper, row = name.split("/")
    return next((c for c in memory.predictions.get(paper, ()) if row in c.rows), None)


def _tables(paper: Paper, row: str) -> tuple[str, ...]:
    """Where the paper prints the memory of a row."""
    return tuple(n.where for n in paper.numbers if set(n.rows.get(row, ())) & set(PRINTED))
