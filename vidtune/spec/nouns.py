"""What is built, what it is trained on, and how: the frozen nouns a job is made of.

A `Model` (what is built and costed) nests in a `Run` (model, data, recipe, seed), so a new seed
or an edited recipe costs nothing again. Sizes are in pixels, tokens, channels and clips.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from vidtune.spec.augment import Augment
from vidtune.spec.base import Count, Frozen, Rate, Share, Split, Task
from vidtune.spec.dataset import Dataset

# What a number is: come by how, or "setting": what was chosen, which only has to be the same.
Kind = Literal["counted", "predicted", "measured", "learned", "setting"]
Schedule = Literal["cosine", "huggingface", "bert", "side4video", "slowfast", "mmcv"]
ParameterKind = Literal["bias", "vector", "norm", "token", "position"]
Sampler = Literal[
    "uniform",
    "clip4clip",
    "side4video",
    "side4video_vatex",
    "segments",
    "tsn",
    "kinetics",
    "dense",
    "stride",
    "mmaction",
    "dist",
]


class Weights(Frozen):
    """Where released weights come from; size and sha256 are checked whenever they are loaded."""

    url: str
    sha256: str | None  # None: nobody has published it
    bytes: Count | None = None  # None: unknown


class TextTower(Frozen):
    width: Count
    layers: Count
    context: Count  # learned positions
    vocabulary: Literal["clip-bpe", "motion"]
    vocab_size: Count


class Backbone(Frozen):
    """A dual encoder with CLIP's architecture; CLIP's heads are width // 64, at least 1."""

    name: str
    arch: Literal["clip", "eva"] = "clip"
    image: Count  # input side, pixels
    patch: Count  # patch side, pixels
    width: Count
    layers: Count
    embed: Count  # joint embedding
    text: TextTower
    head_width: Count = 64  # width of an attention head of the vision tower (EVA: 112)
    mlp_ratio: float = 4.0
    weights: Weights | None = None  # released weights
    pretraining: str | None = None  # or the recipe that makes them here
    source: str | None = None

    @model_validator(mode="after")
    def _whole_patches(self) -> "Backbone":
        if self.image % self.patch:
            raise ValueError(f"image {self.image} is not a multiple of patch {self.patch}")
        return self

    @property
    def patches(self) -> int:
        """Patch tokens of one frame."""
        return (self.image // self.patch) ** 2


class GeneratedSet(Frozen):
    """Generated videos: how many, how large, from which seed."""

    name: str
    generator: Literal["motion"]
    seed: int
    clips: dict[Split, int]
    side: Count  # pixels
    fps: Count
    seconds: tuple[float, float]  # shortest and longest clip
    stills: int = 0  # rendered images with appearance captions for pre-training


class Recipe(Frozen):
    """How a model is trained and evaluated. Rates are per step, lengths in epochs or steps.

    vidtune/engine/optim.py says what optimisers, schedules and kinds of parameters are,
    vidtune/data/sampling.py what samplers take.
    """

    name: str
    task: Task | Literal["pretraining"]
    lr: Rate
    backbone_lr: Rate | None = None  # of tuned pre-trained weights; None: as `lr`
    head_lr: Rate | None = None  # of the classifier; None: as `lr`
    optimizer: Literal["adamw", "adamw_hf", "bertadam"] = "adamw"
    weight_decay: float
    no_decay: tuple[ParameterKind, ...] = ()  # kinds of parameters that do not decay
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    batch: Count  # clips per step, all devices together; each counts once, however often repeated
    epochs: Count | None = None
    steps: Count | None = None
    schedule: Schedule = "cosine"
    warmup: Share = 0.0  # share of all steps
    warmup_epochs: Annotated[float, Field(ge=0)] | None = None  # or its length in epochs
    warmup_from: Share = 0.0  # slowfast, mmcv: share of the rate at the first step
    clip_grad: float | None = None  # global norm
    precision: Literal["fp32", "amp16", "bf16"] = "fp32"  # amp16, bf16: autocast; weights stay fp32
    label_smoothing: float = 0.0
    fps: float | None = None  # frames are first taken at this rate; None: every frame
    sampler: Sampler = "uniform"
    stride: Count | None = None  # stride, mmaction: from one frame taken to the next
    slice_framepos: Literal["head", "tail", "even"] = "even"  # clip4clip: which of too many frames
    random_train_frames: bool = False  # the sampler's random rule while training
    # before the crop: (height, width), or the short side; None: the short side of the crop
    resize: tuple[Count, Count] | Count | None = None
    augment: Augment | None = None
    on_broken: Literal["error", "replace"] = "error"  # a training video that cannot be decoded
    max_words: Count = 32
    source: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Recipe":
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give either epochs or steps")
        if self.warmup_epochs is not None and (self.warmup or self.epochs is None):
            raise ValueError("warmup_epochs: expected with epochs, and in place of warmup")
        if self.warmup_epochs is not None and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs: expected fewer than the {self.epochs} epochs; "
                f"found {self.warmup_epochs:g}"
            )
        if self.schedule in ("side4video", "mmcv") and self.epochs is None:
            raise ValueError(f"schedule: {self.schedule} counts in epochs; give epochs, not steps")
        if self.warmup_from and self.schedule not in ("slowfast", "mmcv"):
            raise ValueError(
                f"warmup_from: schedule {self.schedule} has a start of its own; drop it"
            )
        if (self.stride is None) == (self.sampler in ("stride", "mmaction")):
            raise ValueError(
                f"stride: expected with samplers stride and mmaction; found {self.stride}"
            )
        if self.random_train_frames and self.sampler in ("uniform", "clip4clip"):
            raise ValueError(f"random_train_frames: {self.sampler} has no random rule; drop it")
        if self.sampler == "clip4clip" and self.task != "retrieval":
            raise ValueError("sampler: clip4clip pads short videos, which only retrieval masks")
        return self

    @property
    def warmup_share(self) -> float:
        """Of all steps."""
        if self.warmup_epochs is None:
            return self.warmup
        assert self.epochs is not None
        return self.warmup_epochs / self.epochs


class Metric(Frozen):
    """What a column is: its unit, which way is better, how it is printed and judged.

    `within` (a share) and `digits` judge counted numbers: a match is inside `within` of print,
    or inside one unit of its last printed digit where `within` is None.
    `noise` is the spread (one standard deviation) a published learned number is assumed to have.
    `beside` are the measured metrics that a predicted one stands beside, under its label's first
    word.
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    kind: Kind
    digits: int
    within: float | None = None
    noise: float | None = None
    scale: float = 1.0  # raw value x scale = value in `unit`
    beside: tuple[str, ...] = ()
    source: str | None = None


class Model(Frozen):
    """What is built and costed: a method on a backbone, for a task, at a number of frames."""

    name: str  # "<paper>/<variant>"
    method: str
    options: dict[str, Any]
    backbone: Backbone
    task: Task
    frames: Count
    views: str = Field(default="1x1", pattern=r"^(1|3)x[1-9]\d*$")  # spatial crops x temporal clips
    classes: int | None = None
    max_words: int = 32

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

    paper: str
    models: tuple[Model, ...]


class Pretraining(Frozen):
    """The job that makes a small backbone's weights from generated stills."""

    backbone: Backbone
    generated: GeneratedSet
    recipe: Recipe
    seed: int


class Premise(Frozen):
    """The job that checks what a small backbone sees, with the sampler used in training."""

    backbone: Backbone
    data: str  # directory of the generated videos
    probe: Recipe  # of which only how frames are taken matters
    frames: Count


class Run(Frozen):
    """One training: a job's whole interface. Paths are relative to the working directory."""

    name: str  # "<paper>/<variant>@<seed>"
    scale: str
    model: Model
    dataset: Dataset
    recipe: Recipe
    seed: int
    data: str
    weights: str | None  # of a backbone pre-trained here; None: released ones, from the cache
