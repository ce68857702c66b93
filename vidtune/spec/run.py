"""What jobs are asked to do: the spec files.

A `Model` (what is built and costed) nests in a `Run` (model, data, recipe, seed), so a new seed
or an edited recipe costs nothing again.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Literal

from vidtune.spec.backbone import Backbone
from vidtune.spec.dataset import Dataset, Stills
from vidtune.spec.frozen import (
    Attention,
    Count,
    Extent,
    Frozen,
    Precision,
    Seed,
    Share,
    Task,
    Views,
)
from vidtune.spec.names import Name, PathText, RunName, VariantName
from vidtune.spec.paper import Fit
from vidtune.spec.recipe import Recipe


class Model(Frozen):
    """What is built and costed: a method on a backbone, for a task, at a number of frames."""

    name: VariantName
    method: Name
    options: dict[str, Any]
    backbone: Backbone
    task: Task
    frames: Extent
    views: Views = "1x1"  # spatial crops x temporal clips
    classes: Count | None = None
    max_words: Extent = 32

    @property
    def view_grid(self) -> tuple[int, int]:
        """(crops, clips)"""
        crops, clips = self.views.split("x")
        return int(crops), int(clips)

    @property
    def n_views(self) -> int:
        crops, clips = self.view_grid
        return crops * clips


class Costing(Frozen):
    """The job that counts a paper's models at their declared size."""

    paper: Name
    models: tuple[Model, ...]


class Pretraining(Frozen):
    """The job that makes a small backbone's weights from generated stills."""

    backbone: Backbone
    stills: Stills
    recipe: Recipe
    seed: Seed


class Prediction(Frozen):
    """One row whose memory is predicted, with the fit of its paper."""

    model: Model
    where: tuple[str, ...]  # tables that print its memory
    batch: Count
    precision: Precision
    attention: Attention
    checkpoint: bool = False  # as the recipe has it
    fit: Fit | None


class Predicting(Frozen):
    """The job that predicts the memory of a paper's rows at their declared size."""

    paper: Name
    rows: tuple[Prediction, ...]


class Workload(Frozen):
    """What decides the memory and the operations of a training step, and of a test, on one GPU."""

    model: Model  # nameless, of one view
    batch: Count  # of retrieval, whose clips all meet; of recognition 1
    precision: Literal["fp32", "amp16", "bf16"]
    weights: Literal["fp32", "fp16"]
    checkpoint: bool


class Probe(Frozen):
    """How the runs of a task take their clips."""

    data: PathText  # directory of the generated videos
    recipe: Recipe  # how frames are taken, and captions and batches made; the rest is constant
    frames: Extent


class Premise(Frozen):
    """The job that checks what a small backbone sees, with the sampler used in training."""

    backbone: Backbone
    probes: dict[Task, Probe]


class Run(Frozen):
    """One training: a job's whole interface. Paths are relative to the working directory."""

    name: RunName
    scale: Name
    model: Model
    dataset: Dataset
    recipe: Recipe
    train_share: Share = (
        1.0  # of the training clips that are used: `vidtune.data.records.take_share`
    )
    seed: Seed
    data: PathText
    weights: PathText | None  # of a pre-trained small backbone; None: released ones, from the cache

    def problems(self) -> Iterator[str]:
        tasks = (self.model.task, self.dataset.task, self.recipe.task)
        if len(set(tasks)) > 1:
            yield "task: model, dataset and recipe differ: {}, {}, {}".format(*tasks)
        found, classes = self.model.classes, self.dataset.classes
        if found != classes:
            yield f"model.classes: expected the dataset's {classes}; found {found}"
        words, room = self.model.max_words, self.model.backbone.text.context
        if self.model.task == "retrieval" and not 2 <= words <= room:
            yield f"model.max_words: expected 2 to the text tower's {room}; found {words}"

    def tested(self) -> str:
        """What decides the result: the spec without its names."""
        unnamed = {"name": True, "model": {"name"}, "recipe": {"name"}}
        return self.model_dump_json(exclude=unnamed)

    def trained(self) -> str:
        """What decides the training: `tested` without the views, which only testing reads."""
        model = self.model.model_copy(update={"views": "1x1"})
        return self.model_copy(update={"model": model}).tested()

    @property
    def training(self) -> str:
        """A hash of what is trained and how, wherever clips and weights lie."""
        model = self.model.model_copy(update={"name": "", "views": "1x1"})
        recipe = self.recipe.model_copy(update={"name": ""})
        parts = [part.model_dump(mode="json") for part in (model, recipe)]
        facts = json.dumps([*parts, self.train_share, self.seed], sort_keys=True)
        return hashlib.sha256(facts.encode()).hexdigest()[:12]

    def workload(self) -> Workload:
        """What this run's memory and operations follow from."""
        r = self.recipe
        return Workload(
            model=self.model.model_copy(update={"name": "", "views": "1x1"}),
            batch=r.batch if r.task == "retrieval" else 1,
            precision=r.precision,
            weights=r.weights,
            checkpoint=r.checkpoint,
        )
