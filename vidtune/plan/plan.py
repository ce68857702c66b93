"""The Plan: the spec of every job of the DAG, and the place of its files.

<results>/<scale>/specs/{backbones,premises,runs,costs,memory}/....json   what a job is
<results>/data/specs/{generated,datasets}/....json  likewise, of what all scales share in the data folder
<results>/<scale>/backbones/<name>/                 clip.pt pretrain.json premise.json
<results>/<scale>/runs/<paper>/<variant>@<seed>/    model.pt train.json eval.json, once for equal runs;
                                                    best.pt where the recipe selects; .eval.json, which
                                                    is eval.json where Snakemake does not delete it
<results>/<scale>/costs/<paper>.json                of all its models, at the papers' full size
<results>/<scale>/memory/<paper>.json               of the rows whose memory it prints, likewise
"""

from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any

from vidtune.plan.config import Config, read_config
from vidtune.plan.registry import options_class, resolve
from vidtune.plan.scale import Scale, map_options, swap
from vidtune.plan.swept import by_option
from vidtune.spec import (
    Backbone,
    Costing,
    Dataset,
    GeneratedSet,
    Model,
    Paper,
    Predicting,
    Prediction,
    Premise,
    Pretraining,
    Probe,
    Recipe,
    Run,
    Stills,
    UserError,
    Variant,
    read_text,
)
from vidtune.spec.read import dump, write_text

MEMORY = {"train_gb", "train_gb_log", "train_mb", "infer_gb", "infer_mb"}  # metrics


@dataclass(frozen=True)
class Plan:
    config: Config
    scale: Scale
    variants: dict[str, Variant]  # "<paper>/<variant>", as declared
    models: dict[str, Model]  # at the declared size: what is costed
    runs: dict[str, Run]  # "<paper>/<variant>@<seed>", at this scale
    pretrainings: dict[str, Pretraining]
    premises: dict[str, Premise]  # by backbone
    generated: dict[str, GeneratedSet]  # sets that the runs need
    root: Path = field(default=Path())  # <results>/<scale>

    @cached_property
    def training_of(self) -> dict[str, str]:
        """Run -> the first run with the same training, whose model.pt and train.json are its own."""
        first: dict[str, str] = {}
        return {name: first.setdefault(run.trained(), name) for name, run in self.runs.items()}

    @cached_property
    def evaluation_of(self) -> dict[str, str]:
        """Run -> the first run that is the same but for names, whose eval.json is its own."""
        first: dict[str, str] = {}
        return {name: first.setdefault(run.tested(), name) for name, run in self.runs.items()}

    def run_of(self, variant: str) -> str | None:
        """The first variant whose runs are those of `variant` at this scale; None: not trained."""
        run = self.evaluation_of.get(f"{variant}@{self.scale.seeds[0]}")
        return run and run.rpartition("@")[0]

    @cached_property
    def looks(self) -> dict[tuple[str, str], str]:
        """(paper, kind of figure) -> the run whose trained model it shows: the first seed of the first of
        its rows that this scale trains."""
        known, seed = self.evaluation_of, self.scale.seeds[0]
        out: dict[tuple[str, str], str] = {}
        for paper in self.config.papers.values():
            for figure in (figure for figure in paper.figures if figure.looks):
                names = (f"{paper.name}/{row}@{seed}" for row in figure.rows)
                trained = next((known[name] for name in names if name in known), None)
                if trained:
                    out[paper.name, figure.draws] = trained
        return out

    def same_run(self, a: str, b: str) -> bool:
        """Whether two variants are the same run at this scale, so that it cannot tell them apart."""
        return self.run_of(a) is not None and self.run_of(a) == self.run_of(b)

    def specs(self) -> dict[Path, Any]:
        """Path -> content of every spec file."""
        out: dict[Path, Any] = {}
        for name in self.evaluation_of.values():
            out[self.spec_of("runs", name)] = self.runs[name]
        for name, paper in self.config.papers.items():
            models = tuple(m for m in self.models.values() if m.name.split("/")[0] == name)
            out[self.spec_of("costs", name)] = Costing(paper=name, models=models)
            out[self.spec_of("memory", name)] = _predicting(
                self.config, paper, self.models, self.scale.memory
            )
        for name, job in self.pretrainings.items():
            out[self.spec_of("backbones", name)] = job
            out[self.spec_of("premises", name)] = self.premises[name]
        for name, videos in self.generated.items():
            out[self.spec_of("generated", name)] = videos
        for dataset in self.real().values():
            out[self.spec_of("datasets", dataset.name)] = dataset
        return out

    def real(self) -> dict[str, Dataset]:
        """The datasets of real videos that runs read, and the datasets whose files these share."""
        declared = self.config.datasets
        names = {r.dataset.name for r in self.runs.values() if not r.dataset.generated}
        names |= {declared[name].shares or name for name in names}
        return {name: declared[name] for name in sorted(names)}

    @property
    def shared(self) -> Path:
        """The folder of what jobs say of the data folder, which all scales share."""
        return self.root.parent / "data"

    def spec_of(self, kind: str, name: str) -> Path:
        home = self.shared if kind in ("generated", "datasets") else self.root
        return home / "specs" / kind / f"{name}.json"

    def write_specs(self, changed: bool = True) -> list[Path]:
        """Write the spec files whose content `changed`, and only those: their age drives the DAG. Else
        those that are missing; return those that are left as they are although they would be others."""
        left: list[Path] = []
        for path, spec in self.specs().items():
            text = dump(spec)
            try:
                before = read_text(path)
            except UserError:
                before = None
            if before is not None and before != text and not changed:
                left.append(path)
            elif before != text:
                write_text(path, text)
        return left

    def counts(self) -> dict[str, int]:
        """Jobs per rule."""
        trained, tested = ({*names.values()} for names in (self.training_of, self.evaluation_of))
        apart = {"train": len(trained), "evaluate": len(tested)}
        together = {"learn": len({self.runs[name].model.name for name in tested})}
        return {
            "generate": len(self.generated),
            "pretrain": len(self.pretrainings),
            "premise": len(self.premises),
            **(together if self.scale.together else apart),
            "look": len({*self.looks.values()}),
            "cost": len(self.config.papers),
            "memory": len(self.config.papers),
            "collect": 1,
            "report": 1,
        }


def load(folder: Path | str = "config", overrides: dict[str, Any] | None = None) -> Plan:
    """Make the Plan of a config folder. Raises `UserError` on the first mistake."""
    config = read_config(Path(folder), overrides)
    scale = config.scales[config.settings.scale]
    if config.settings.seeds:
        scale = scale.model_copy(update={"seeds": config.settings.seeds})
    root = Path(config.settings.results) / scale.name
    variants = {v.name: v for p in config.papers.values() for v in p.variants.values()}
    models: dict[str, Model] = {}
    runs: dict[str, Run] = {}
    pretrainings: dict[str, Pretraining] = {}
    premises: dict[str, Premise] = {}
    for name, v in variants.items():
        models[name] = _model(config, v)
        for seed in scale.seeds if scale.trains(name) else ():
            run = _run(config, scale, root, v, models[name], seed)
            runs[run.name] = run
            backbone = run.model.backbone
            if backbone.pretraining:
                if not run.dataset.generated:
                    raise UserError(
                        f"{config.folder}/scales.yaml: {scale.name}: {name}: {backbone.name} is made of "
                        f"stills of generated videos, and {run.dataset.name} has none; give a generated "
                        "dataset, or a backbone with released weights"
                    )
                job = _pretraining(config, backbone, config.generated[run.dataset.generated])
                if pretrainings.setdefault(backbone.name, job) != job:
                    raise UserError(
                        f"{config.folder}/datasets.yaml: generated.{run.dataset.generated}: expected "
                        f"the seed, side and stills of the other sets of scale {scale.name}, because "
                        f"{backbone.name} is pre-trained once; make them equal"
                    )
                premise = premises.get(backbone.name)
                probes = premise.probes if premise else {}
                probes = {run.model.task: _probe(run)} | probes  # the first run's of each task
                premises[backbone.name] = Premise(backbone=backbone, probes=probes)
    for paper in config.papers.values():
        for figure in (figure for figure in paper.figures if figure.draws == "sensitivity"):
            try:
                by_option(models, paper.name, figure)
            except UserError as e:
                raise UserError(f"{config.folder}/{e}") from None
    names = filter(None, (run.dataset.generated for run in runs.values()))
    generated = {name: config.generated[name] for name in names}
    _check_patterns(config, scale, variants)
    return Plan(config, scale, variants, models, runs, pretrainings, premises, generated, root)


def _pretraining(c: Config, backbone: Backbone, of: GeneratedSet) -> Pretraining:
    """Make the pre-training of a backbone on the stills of a generated set."""
    stills = Stills(seed=of.seed, count=of.stills, side=of.side)
    return Pretraining(
        backbone=backbone, stills=stills, recipe=c.recipes[backbone.pretraining], seed=0
    )


def _model(c: Config, v: Variant) -> Model:
    """Make the model at its declared size, with every option spelled out."""
    paper, key = v.name.split("/")
    path = Path(c.folder) / "papers" / f"{paper}.yaml"
    where = f"{path}: variants.{key}"
    dataset, backbone = c.datasets[v.dataset], c.backbones[v.backbone]
    try:
        cls = options_class(v.method)
    except UserError as e:
        raise UserError(f"{where}.method: {e}") from None
    if dataset.task not in cls.tasks:
        tasks = f"{v.method} is for {' and '.join(cls.tasks)}"
        raise UserError(f"{where}: {tasks}; {v.dataset} is for {dataset.task}")
    if backbone.arch not in cls.archs:
        archs = f"{v.method} is for {' and '.join(cls.archs)}"
        raise UserError(f"{where}.backbone: {archs}; {backbone.name} is {backbone.arch}")
    views = v.tested or v.views
    if dataset.task == "retrieval" and views != "1x1":
        raise UserError(f"{where}.views: retrieval tests a single view; found {views}; drop it")
    return Model(
        name=v.name,
        method=v.method,
        options=resolve(v.method, v.options, path, ("variants", key, "options")),
        backbone=backbone,
        task=dataset.task,
        frames=v.frames,
        views=views,
        classes=dataset.classes,
        max_words=c.recipes[v.recipe].max_words,
    )


def _run(c: Config, scale: Scale, root: Path, v: Variant, declared: Model, seed: int) -> Run:
    """Make the run of a variant at this scale, with one seed."""
    backbone = c.backbones[swap(scale.backbones, v.backbone)]
    dataset = c.datasets[swap(scale.datasets, f"{declared.task}/{v.dataset}").split("/")[-1]]
    named = swap(scale.recipes, f"{declared.task}/{v.recipe}", v.name)
    recipe = c.recipes[named.split("/")[-1]]
    where = f"{c.folder}/scales.yaml: {scale.name}: {v.name}"
    if recipe.task != declared.task or dataset.task != declared.task:
        task = f"is for {declared.task}; {recipe.name} or {dataset.name} is not"
        raise UserError(f"{where} {task}")
    try:
        frames = scale.frames_of(v.frames)
        swapped = (declared.backbone, backbone, scale.frames)
        options = map_options(v.method, declared.options, *swapped)
    except ValueError as e:
        raise UserError(f"{where}: {e}") from None
    model = declared.model_copy(
        update={
            "options": options,
            "backbone": backbone,
            "frames": frames,
            "classes": dataset.classes,
            "views": declared.views if backbone == declared.backbone else "1x1",
            "max_words": min(recipe.max_words, backbone.text.context),
        }
    )
    weights = str(root / "backbones" / backbone.name / "clip.pt") if backbone.pretraining else None
    return Run(
        name=f"{v.name}@{seed}",
        scale=scale.name,
        model=model,
        dataset=dataset.deciding(),
        recipe=recipe.model_copy(update={"source": None}),
        train_share=v.train_share,
        seed=seed,
        data=str(Path(c.settings.data) / (dataset.generated or dataset.name)),
        weights=weights,
    )


def _probe(run: Run) -> Probe:
    """How a run takes its clips.

    Its rates and lengths are constants, so that editing a recipe's repeats no premise.
    """
    taken = {"task": run.recipe.task, "max_words": run.model.max_words, **run.recipe.frame_rule()}
    fixed = {"name": "probe", "lr": 1.0, "weight_decay": 0.0, "steps": 1, "warmup": 0.0}
    recipe = Recipe(batch=run.recipe.batch, **fixed, **taken)
    return Probe(data=run.data, recipe=recipe, frames=run.model.frames)


def _predicting(
    c: Config, paper: Paper, models: dict[str, Model], only: tuple[str, ...]
) -> Predicting:
    """The job of one paper: its rows whose memory is printed and that match a pattern of `only`."""
    fit = paper.fit
    if fit:
        fit = fit.model_copy(update={"rows": tuple(f"{paper.name}/{row}" for row in fit.rows)})
    rows = []
    for row, under in paper.measured_under().items():
        name = f"{paper.name}/{row}"
        where = tuple(n.where for n in paper.numbers if MEMORY & set(n.rows.get(row, ())))
        if where and any(fnmatch(name, pattern) for pattern in only):
            given = under.model_dump(exclude={"source"})
            given["checkpoint"] = c.recipes[paper.variants[row].recipe].checkpoint
            rows.append(Prediction(model=models[name], where=where, fit=fit, **given))
    return Predicting(paper=paper.name, rows=tuple(rows))


def _check_patterns(c: Config, scale: Scale, variants: dict[str, Variant]) -> None:
    """Patterns of `learn`, `skip` and `memory` match a variant, unless its paper is left out; with all
    papers those of `recipes` match a recipe or a variant that uses one."""
    left_out = {path.stem for path in Path(c.folder, "papers").glob("*.yaml")} - c.papers.keys()
    for key in ("learn", "skip", "memory"):
        for pattern in getattr(scale, key):
            used = pattern.split("/")[0] not in left_out
            if used and not any(fnmatch(v, pattern) for v in variants):
                problem = f"{pattern!r} matches no variant; fix or drop it"
                raise UserError(f"{c.folder}/scales.yaml: {scale.name}.{key}: {problem}")
    for pattern in scale.recipes if not left_out else ():
        tasks = ((c.datasets[v.dataset].task, v) for v in variants.values())
        names = ((f"{task}/{v.recipe}", v.name) for task, v in tasks)
        if not any(fnmatch(name, pattern) for pair in names for name in pair):
            problem = f"{pattern!r} matches no recipe in use and no variant; fix or drop it"
            raise UserError(f"{c.folder}/scales.yaml: {scale.name}.recipes: {problem}")
