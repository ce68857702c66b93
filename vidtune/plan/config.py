"""Reads and cross-checks `config/*.yaml`. Every problem is one line that names file and key."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field

from vidtune.plan.inherit import expand, resolve_base
from vidtune.plan.published_tables import printed_in, read_tables
from vidtune.plan.scale import Scale
from vidtune.spec import (
    Backbone,
    Dataset,
    Expected,
    Frozen,
    GeneratedSet,
    Metric,
    Paper,
    Recipe,
    Table,
    UserError,
    Variant,
    parse,
    parse_gpus,
    read_yaml,
)
from vidtune.spec.frozen import Seed
from vidtune.spec.names import NAME, Name, PathText
from vidtune.spec.placeholders import FILLED_KINDS, PLACEHOLDER, filled_texts, problem_of_format
from vidtune.spec.yaml_files import place

F = TypeVar("F", bound=Frozen)


def _numbers(value: Any) -> Any:
    """A list whose numbers are text, as Snakemake's --config has them, with numbers."""
    if not isinstance(value, list):
        return value
    return tuple(int(x) if isinstance(x, str) and x.isdecimal() else x for x in value)


class Settings(Frozen):
    """`config/config.yaml`."""

    scale: Name
    papers: Annotated[tuple[Name, ...], Field(min_length=1)]
    results: PathText
    data: PathText
    # of all that is trained; None: the scale's
    seeds: Annotated[tuple[Seed, ...], BeforeValidator(_numbers)] | None = None
    fetch: tuple[Name, ...] = ()  # open datasets that a run may download
    gpus: str | None = None  # of one training, as "8x80GiB"; None: one, for whole batches
    stage: PathText | None = (
        None  # folder of a node that keeps copies of videos; its variables are the node's
    )
    container: PathText = "vidtune.sif"  # image that jobs run in where Snakemake is told so

    def problems(self) -> Iterator[str]:
        if len(set(self.papers)) < len(self.papers):
            yield "papers: one stands twice; drop it"
        if self.seeds is not None and len(set(self.seeds)) != (len(self.seeds) or -1):
            yield f"seeds: expected distinct numbers from 0; found {list(self.seeds)}"
        try:
            if self.gpus is not None:
                parse_gpus(self.gpus)
        except UserError as e:
            yield f"gpus: {e}"
        if self.stage is not None and self.stage[:1] not in ("/", "~", "$"):
            yield (
                "stage: expected an absolute folder of a node, or one that begins with ~ or a variable, "
                f"such as $TMPDIR; found {self.stage!r}"
            )


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
    expected: dict[str, Expected]  # by scale

    def problems(self) -> Iterator[str]:
        """Yield names that one file uses and none declares, then what does not fit together."""
        for where, what, names in self._references():
            declared = getattr(self, "generated" if what == "generated set" else f"{what}s")
            for name in names:
                if name not in declared:
                    known = ", ".join(sorted(declared))
                    yield f"{where}: {what} {name!r} is not declared; known: {known}"
        for name, dataset in self.datasets.items():
            for problem in self._problems_of_dataset(dataset):
                yield f"datasets.yaml: datasets.{name}.{problem}"
        for paper in self.papers.values():
            yield from self._problems_of(paper, f"papers/{paper.name}.yaml")
        for table in self.tables.values():
            for metric in printed_in(self.papers[table.paper], table.where) if table.paper else ():
                if metric not in table.columns:
                    where = f"tables.yaml: published.{table.paper}.{table.where}.columns"
                    yield f"{where}: the table prints {metric!r}; add it"

    def _problems_of_dataset(self, d: Dataset) -> Iterator[str]:
        if d.task == "recognition" and not d.classes:
            yield "classes: a recognition dataset needs their number; add it"
        if not d.generated and d.name in {*self.generated, "bench"}:
            yield "name: generated videos have the folder of this name; choose another"
        if d.generated and d.classes not in (None, 2 * len(self.generated[d.generated].motions)):
            yield f"classes: each motion of {d.generated} gives two; found {d.classes}"
        if d.shares and (d.shares == d.name or self.datasets[d.shares].shares):
            yield f"shares: expected a dataset with files of its own; found {d.shares!r}"
        if d.shares and (self.datasets[d.shares].generated or self.datasets[d.shares].folder):
            yield f"shares: {d.shares} has nothing to fetch; name another, or give its folder"

    def _references(self) -> Iterator[tuple[str, str, Iterable[str]]]:
        """(place, kind of entry, names) of all that one entry names of others."""
        yield "config.yaml: scale", "scale", [self.settings.scale]
        yield "config.yaml: fetch", "dataset", self.settings.fetch
        for name, backbone in self.backbones.items():
            yield f"backbones.yaml: {name}", "recipe", filter(None, [backbone.pretraining])
        for name, dataset in self.datasets.items():
            where = f"datasets.yaml: datasets.{name}"
            yield where, "generated set", filter(None, [dataset.generated])
            yield f"{where}.shares", "dataset", filter(None, [dataset.shares])
        for name, metric in self.metrics.items():
            yield f"metrics.yaml: {name}.predicts", "metric", metric.predicts
        for paper in self.papers.values():
            path = f"papers/{paper.name}.yaml"
            for key, v in paper.variants.items():
                for kind in ("backbone", "dataset", "recipe"):
                    yield f"{path}: variants.{key}.{kind}", kind, [getattr(v, kind)]
                yield f"{path}: variants.{key}.fitted", "metric", v.fitted
            for k, numbers in enumerate(paper.numbers):
                for row, cells in numbers.rows.items():
                    yield f"{path}: numbers.{k}.rows.{row}", "metric", cells
            for k, figure in enumerate(paper.figures):
                yield f"{path}: figures.{k}.metrics", "metric", figure.metrics or ()
            for name, claim in paper.claims.items():
                yield f"{path}: claims.{name}", "metric", [test.metric for test in claim.tests]
        for table in self.tables.values():
            yield f"tables.yaml: {table.name}.columns", "metric", table.columns
        scale = self.scales[self.settings.scale]
        for kind in ("backbone", "dataset", "recipe"):
            for pattern, name in getattr(scale, f"{kind}s").items():
                yield f"scales.yaml: {scale.name}.{kind}s.{pattern}", kind, [name]

    def _problems_of(self, paper: Paper, path: str) -> Iterator[str]:
        """A variant's recipe is for its dataset's task; its views are those of its tables; a claim's
        order is of a metric that has a better direction."""
        for key, v in paper.variants.items():
            d = self.datasets[v.dataset]
            if d.annotations and not {d.evaluate_on, "all"} & d.annotations.files.keys():
                lacks = f"{d.name} has no list of {d.evaluate_on}, which is evaluated on"
                yield f"{path}: variants.{key}.dataset: {lacks}; add it in datasets.yaml"
            if self.recipes[v.recipe].task != d.task:
                yield f"{path}: variants.{key}.recipe: {v.recipe} is not for {d.task}"
        for k, numbers in enumerate(paper.numbers):
            for row in [row for row in numbers.rows if row in paper.variants]:
                views, declared = numbers.under(row).views, paper.variants[row].views
                if views and views != declared:
                    differ = f"the table has {views} views, the variant {declared}; fix one"
                    yield f"{path}: numbers.{k}.rows.{row}: {differ}"
        for name, claim in paper.claims.items():
            for test in claim.tests:
                if test.best_first and self.metrics[test.metric].better is None:
                    setting = f"{test.metric} is a setting, of which no value is better"
                    yield f"{path}: claims.{name}: {setting}; claim it of another metric"
                if test.percent == 0 and self.metrics[test.metric].kind == "learned":
                    only = "a learned claim is of a difference; found percent: 0"
                    yield f"{path}: claims.{name}: {only}; give its sign, or drop the test"
        for key, text in filled_texts(paper):
            for match in PLACEHOLDER.finditer(text):
                if problem := self._problem_of_placeholder(paper, *match.groups()):
                    yield f"{path}: {key}: {match[0]}: {problem}"

    def _problem_of_placeholder(self, paper: Paper, row: str, metric: str, form: str | None) -> str:
        """Why a text cannot take this number of ours; "": it can."""
        if row not in paper.variants:
            return f"{row!r} is no variant of {paper.name}; fix the name"
        known = [name for name, m in self.metrics.items() if m.kind in FILLED_KINDS]
        if metric not in known:
            return f"{metric!r} is no metric that is {' or '.join(FILLED_KINDS)}; fix the name"
        why = problem_of_format(form or "")
        return f"{why}; write a number's format, as in {{row/gflops:.0f}}" if why else ""


def read_config(folder: Path, overrides: dict[str, Any] | None = None) -> Config:
    """Read and cross-check a config folder; `overrides` replace keys of config.yaml."""
    main = folder / "config.yaml"
    settings = parse(Settings, {**read_yaml(main), **(overrides or {})}, main)
    data = read_yaml(folder / "datasets.yaml")
    for section in data.keys() - {"generated", "datasets"}:
        raise UserError(f"{folder}/datasets.yaml: {section}: unknown; known: generated, datasets")
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
        expected=_entries(Expected, folder / "expected.yaml"),
    )
    for problem in config.problems():
        raise UserError(f"{folder}/{problem}")
    return config


def read_paper(path: Path) -> Paper:
    """Read a paper with all its variants, in the order of the file."""
    raw = read_yaml(path)
    declared = raw.get("variants")
    if not isinstance(declared, dict):
        raise UserError(f"{path}: variants: expected a mapping of names to variants; add it")
    variants: dict[str, Any] = {}
    for template in declared:
        fields = resolve_base(path, "variants", declared, template)
        for key, one in expand(path, template, fields):
            where = f"{path}: variants.{key}"
            if not re.fullmatch(NAME, key):
                raise UserError(f"{where}: a name may hold letters, digits, dots, - and _ only")
            if key in variants:
                raise UserError(f"{where}: declared twice through `each`; rename one")
            variants[key] = {**one, "name": f"{path.stem}/{key}"}
    for key, one in variants.items():
        parse(Variant, one, path, ("variants", key))
    return parse(Paper, {**raw, "name": path.stem, "variants": variants}, path)


def _entries(kind: type[F], path: Path, section: str = "", raw: Any = None) -> dict[str, F]:
    """All entries of a file, or of one section of it; their names are their keys."""
    entries = read_yaml(path) if raw is None else raw.get(section)
    if not isinstance(entries, dict):
        raise UserError(f"{path}: {section}: expected a mapping of names to entries; add it")
    keys = (section,) if section else ()
    out = {}
    for name in entries:
        fields = resolve_base(path, section or "entries", entries, name)
        if kind in (Dataset, GeneratedSet) and "base" not in entries[name]:
            _refuse_empty(entries[name], path, (*keys, name))
        out[name] = parse(kind, {**fields, "name": name}, path, (*keys, name))
    return out


def _refuse_empty(fields: dict[str, Any], path: Path, keys: tuple[str, ...]) -> None:
    """Raise `UserError` for a value that says nothing, where there is no base whose value it could drop."""
    for key, value in fields.items():
        if value in ({}, [], ""):
            at = place(path, (*keys, key))
            raise UserError(f"{at}: {'.'.join((*keys, key))}: empty; give a value or drop it")
