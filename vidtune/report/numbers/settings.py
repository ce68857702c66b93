"""Settings (rates, lengths, sizes, clips) as rows: what the configuration says where a paper prints
one."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from vidtune.plan import Plan
from vidtune.report.cell_names import published_cells
from vidtune.report.numbers.rows import FULL_SIZE, Row, our_row
from vidtune.spec import Dataset, Model, Recipe
from vidtune.spec.recipe import Augment


class Declared(NamedTuple):
    """A variant as declared, at the paper's size."""

    model: Model
    recipe: Recipe
    dataset: Dataset

    @property
    def augment(self) -> Augment:
        """The recipe's augmentation; of a recipe without one, what changes nothing."""
        return self.recipe.augment or Augment.model_construct()


# Metric -> how it is read; None: the variant has no such setting.
READ: dict[str, Callable[[Declared], float | None]] = {
    "trunk_layers": lambda d: d.model.backbone.layers,
    "trunk_width": lambda d: d.model.backbone.width,
    "side_layers": lambda d: d.model.options.get("layers"),
    "side_width": lambda d: d.model.options.get("width"),
    "lora_rank": lambda d: d.model.options.get("lora_rank"),
    "img_merge": lambda d: d.model.options.get("img_merge"),
    "kept_cross": lambda d: _kept(d.model.options.get("cross")),
    "kept_intra": lambda d: _kept(d.model.options.get("intra")),
    "frames": lambda d: d.model.frames,
    "max_words": lambda d: d.recipe.max_words,
    "lr": lambda d: d.recipe.lr,
    "backbone_lr": lambda d: d.recipe.backbone_lr,
    "weight_decay": lambda d: d.recipe.weight_decay,
    "beta1": lambda d: d.recipe.betas[0],
    "beta2": lambda d: d.recipe.betas[1],
    "batch": lambda d: d.recipe.batch,
    "epochs": lambda d: d.recipe.epochs,
    "warmup_epochs": lambda d: d.recipe.warmup_epochs,
    "label_smoothing": lambda d: d.recipe.label_smoothing,
    "flip": lambda d: d.augment.flip,
    "gray": lambda d: d.augment.gray,
    "repeats": lambda d: d.augment.repeats,
    "classes": lambda d: d.dataset.classes,
    "train_clips": lambda d: d.dataset.expected.get("train"),
    "val_clips": lambda d: d.dataset.expected.get("val"),
    "test_clips": lambda d: d.dataset.expected.get(d.dataset.evaluate_on),
}


def _kept(removed: int | None) -> int | None:
    """The share that is kept, as the paper prints it; the options give the removed one."""
    return None if removed is None else 100 - removed


def declared(plan: Plan) -> Iterator[Row]:
    """What the configuration says of every printed setting that a variant has."""
    c = plan.config
    for name, metric in dict.fromkeys((p.variant, p.metric) for p in published_cells(plan)):
        v, m = plan.variants.get(name), c.metrics[metric]
        if v is None or m.kind != "setting" or metric not in READ:
            continue
        variant = Declared(plan.models[name], c.recipes[v.recipe], c.datasets[v.dataset])
        value = READ[metric](variant)
        if value is not None:
            yield our_row(
                m,
                variant=name,
                value=float(value),
                where=c.folder,
                scale=FULL_SIZE,
                device="none (declared)",
            )
