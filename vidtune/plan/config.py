"""Reads and cross-checks `config/*.yaml`. Every problem is one line that names file and key."""

from pathlib import Path
from typing import Any, TypeVar

from vidtune.plan.inherit import resolve_base
from vidtune.plan.papers import read_paper
from vidtune.plan.published_tables import printed_in, read_tables
from vidtune.plan.scale import Scale
from vidtune.spec import (
    Backbone,
    Dataset,
    Frozen,
    GeneratedSet,
    Metric,
    Paper,
    Recipe,
    Table,
    UserError,
    parse,
    read_yaml,
)

F = TypeVar("F", bound=Frozen)


class Settings(Frozen):
    """`config/config.yaml`."""

    scale: str
    papers: tuple[str, ...]
    results: str
    data: str
    fetch: tuple[str, ...] = ()  # open datasets that a run may download


class Config(Frozen):
    """All files of a config folder, validated."""

    folder: str
    settings: Settings
    backbones: dict[str, Backbone]
    generated: dict[str, GeneratedSet]
    datasets: dict[str, Dataset]
    recipes: dict[str, Recipe]
    metrics: dict[str, Metric]
    scales: dict[str, Scale]
    papers: dict[str, Paper]
    tables: dict[str, Table]


def read_config(folder: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read and cross-check a config folder; `overrides` replace keys of config.yaml."""
    main = folder / "config.yaml"
    settings = parse(Settings, {**read_yaml(main), **(overrides or {})}, main)
    data = read_yaml(folder / "datasets.yaml")
    for section in data.keys() - {"generated", "datasets"}:
        raise UserError(
            f"{folder / 'datasets.yaml'}: {section}: unknown; known: generated, datasets"
        )
    papers = {}
    for name in settings.papers:
        path = folder / "papers" / f"{name}.yaml"
        if not path.is_file():
            raise UserError(f"{main}: papers: {name!r}: no file {path}; add it or drop the name")
        papers[name] = read_paper(path)
    config = Config.model_construct(
        folder=str(folder),
        settings=settings,
        backbones=_entries(Backbone, folder / "backbones.yaml"),
        generated=_entries(GeneratedSet, folder / "datasets.yaml", "generated", data),
        datasets=_entries(Dataset, folder / "datasets.yaml", "datasets", data),
        recipes=_entries(Recipe, folder / "recipes.yaml"),
        metrics=_entries(Metric, folder / "metrics.yaml"),
        scales=_entries(Scale, folder / "scales.yaml"),
        papers=papers,
        tables=read_tables(folder, papers),
    )
    check(config)
    return config


def _entries(kind: type[F], path: Path, section: str = "", raw: Any = None) -> dict[str, F]:
    """All entries of a file, or of one section of it; their names are their keys."""
    entries = read_yaml(path) if raw is None else raw.get(section)
    if not isinstance(entries, dict):
        raise UserError(f"{path}: {section}: expected a mapping of names to entries; add it")
    keys = (section,) if section else ()
    out = {}
    for name in entries:
        fields = resolve_base(path, section or "entries", entries, name)
        out[name] = parse(kind, {**fields, "name": name}, path, (*keys, name))
    return out


def known(what: str, name: str, table: dict[str, Any], where: str) -> None:
    """Raise `UserError` where a name is not in `table`."""
    if name not in table:
        raise UserError(
            f"{where}: {what} {name!r} is not declared; known: {', '.join(sorted(table))}"
        )


def check(c: Config) -> None:
    """Every name that one file uses is declared in another."""
    folder = Path(c.folder)
    known("scale", c.settings.scale, c.scales, f"{folder / 'config.yaml'}: scale")
    for name in c.settings.fetch:
        known("dataset", name, c.datasets, f"{folder / 'config.yaml'}: fetch")
    for name, backbone in c.backbones.items():
        if backbone.pretraining:
            known("recipe", backbone.pretraining, c.recipes, f"{folder / 'backbones.yaml'}: {name}")
    for name, dataset in c.datasets.items():
        where = f"{folder / 'datasets.yaml'}: datasets.{name}"
        if dataset.generated:
            known("generated set", dataset.generated, c.generated, where)
        if dataset.task == "recognition" and not dataset.classes:
            raise UserError(f"{where}: classes: a recognition dataset needs their number; add it")
    for name, metric in c.metrics.items():
        for other in metric.beside:
            known("metric", other, c.metrics, f"{folder / 'metrics.yaml'}: {name}.beside")
    for paper in c.papers.values():
        path = folder / "papers" / f"{paper.name}.yaml"
        for key, v in paper.variants.items():
            where = f"{path}: variants.{key}"
            known("backbone", v.backbone, c.backbones, f"{where}.backbone")
            known("dataset", v.dataset, c.datasets, f"{where}.dataset")
            known("recipe", v.recipe, c.recipes, f"{where}.recipe")
            for metric in v.fitted:
                known("metric", metric, c.metrics, f"{where}.fitted")
            if c.recipes[v.recipe].task != c.datasets[v.dataset].task:
                raise UserError(
                    f"{where}.recipe: {v.recipe} is not for {c.datasets[v.dataset].task}"
                )
        _check_numbers(c, paper, path)
    _check_tables(c, folder / "tables.yaml")


def _check_numbers(c: Config, paper: Paper, path: Path) -> None:
    """Published numbers and claims name declared metrics, and the views of the variant."""
    for k, numbers in enumerate(paper.numbers):
        for row, cells in numbers.rows.items():
            where = f"{path}: numbers.{k}.rows.{row}"
            for metric in cells:
                known("metric", metric, c.metrics, where)
            v, views = paper.variants.get(row), numbers.under(row).views
            if v and views and views != v.views:
                raise UserError(
                    f"{where}: the table has {views} views, the variant {v.views}; fix one"
                )
    for name, claim in paper.claims.items():
        for test in claim.tests:
            known("metric", test.metric, c.metrics, f"{path}: claims.{name}")


def _check_tables(c: Config, path: Path) -> None:
    """Columns are metrics, and hold all that a published table prints."""
    for table in c.tables.values():
        for column in table.columns:
            known("metric", column, c.metrics, f"{path}: {table.name}.columns")
        for metric in printed_in(c.papers[table.paper], table.where) if table.paper else ():
            if metric not in table.columns:
                raise UserError(
                    f"{path}: published.{table.paper}.{table.where}.columns: "
                    f"the table prints {metric!r}; add it"
                )
