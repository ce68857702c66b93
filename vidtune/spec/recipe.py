"""A recipe: optimiser, schedule, frames and augmentation."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from vidtune.spec.frozen import Amount, Count, Extent, Frozen, Rate, Share, Task
from vidtune.spec.names import Name

Schedule = Literal["cosine", "huggingface", "bert", "side4video", "slowfast", "mmcv", "wsd"]
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
Filter = Literal["bilinear", "bicubic"]  # how pixels are computed where frames are resized
RANDAUGMENT = r"^rand-m(\d+(?:\.\d+)?)-n([1-9]\d*)(?:-mstd(\d+(?:\.\d+)?))?-inc1$"
IMGAUG = r"^m([12]?\d|30)-n([1-9]|1[0-8])$"  # magnitude of 30; how many of the 18 operations
FRAME_RULE = {
    "fps",
    "sampler",
    "stride",
    "slice_framepos",
    "resize",
    "filter",
    "antialias",
    "three_crops",
    "odd_centre",
}


class Augment(Frozen):
    """What is changed at random in training clips, alike for all frames of a clip.

    vidtune/data/transforms.py says what each field does, and in which order; vidtune/nn/mixing.py
    what mixup and cutmix do.
    """

    randaugment: str | None = Field(default=None, pattern=RANDAUGMENT)  # timm's, of decoded frames
    imgaug: str | None = Field(default=None, pattern=IMGAUG)  # imgaug's RandAugment, of the crop
    # before the crop, in training alone: the short side; None: the recipe's `resize`
    resize: Extent | None = None
    crop: Literal["side4video", "slowfast", "jitter"] | None = None  # None: the centre
    # share of the area that a crop covers; jitter: how much larger than the crop frames become
    scale: tuple[float, float] = (0.08, 1.0)
    filter: Filter = "bilinear"  # of the crop's resizing
    flip: Share = 0.0  # share of the clips that are mirrored, with their labels
    gray: Share = 0.0  # share of the clips that lose their colour
    lighting: Rate | None = None  # deviation of the noise along the principal axes of colour
    erase: Share = 0.0  # share of the clips that lose a rectangle
    repeats: Extent = 1  # how often a batch holds every clip, each time changed anew
    # parameter of the Beta distribution of shares; of a recipe with both, each group of clips draws
    mixup: Rate | None = None
    cutmix: Rate | None = None
    mix_switch: Share = 0.5  # share of the groups that take cutmix

    @property
    def mixes(self) -> bool:
        """Whether clips of a group become mixtures of each other."""
        return bool(self.mixup or self.cutmix)

    @property
    def changes(self) -> bool:
        """Whether anything is changed."""
        whole = self.randaugment or self.imgaug or self.crop or self.lighting or self.mixes
        return bool(whole or self.flip or self.gray or self.erase)

    def _gives(self, *fields: str) -> bool:
        """Whether a field has another value than its default: a job's spec gives them all."""
        return any(getattr(self, f) != type(self).model_fields[f].default for f in fields)

    def problems(self) -> Iterator[str]:
        low, high = self.scale
        if self.crop == "jitter":
            if not 1 <= low <= high:
                yield f"scale: jitter expects 1 <= low <= high; found {low}, {high}"
        elif not 0 < low <= high <= 1:
            yield f"scale: expected 0 < low <= high <= 1; found {low}, {high}"
        if self.crop is None and self._gives("scale", "filter"):
            yield "scale, filter: are of a random crop; give crop or drop them"
        if self.crop in (None, "jitter") and self.resize:
            yield "resize: is before a crop of a share of the area; give another crop or drop it"
        if self._gives("mix_switch") and not (self.mixup and self.cutmix):
            yield "mix_switch: is between mixup and cutmix; give both or drop it"
        if not self.changes:
            yield (
                "changes nothing; give randaugment, imgaug, crop, flip, gray, lighting, erase, mixup or "
                "cutmix, or drop it"
            )


class Selection(Frozen):
    """When a training is tested on the test set, and which of these tests counts as its best.

    It is tested at the end of every epoch and of the training. A best test set number is no estimate of
    what the model reaches on other clips; it stands beside that of the last weights, and says so.
    """

    metric: Literal["top1", "r1"]
    every: Count | None = None  # steps: tested then as well
    first: bool = False  # after the first step as well
    skip: tuple[Annotated[int, Field(ge=0)], ...] = ()  # epochs, from 0, whose end is passed over
    ties: Literal["first", "last"] = "first"  # which of equally good tests counts

    def is_due(self, step: int, per_epoch: int, steps: int) -> bool:
        """Whether to test after `step` of `steps`, counted from 1; an epoch has `per_epoch`."""
        epoch, rest = divmod(step, per_epoch)
        ends = step == steps or (rest == 0 and epoch - 1 not in self.skip)
        within = self.every is not None and step % self.every == 0
        return ends or within or (self.first and step == 1)

    def count(self, per_epoch: int, steps: int) -> int:
        """How many tests a training has."""
        return sum(self.is_due(step, per_epoch, steps) for step in range(1, steps + 1))

    def is_better(self, value: float, best: float) -> bool:
        """Whether a later test replaces the best so far."""
        return value > best or (value == best and self.ties == "last")


class Recipe(Frozen):
    """How a model is trained and evaluated. Rates are per step, lengths in epochs or steps.

    vidtune/engine/optim.py defines optimisers, schedules and kinds of parameters,
    vidtune/data/sampling.py the samplers.
    """

    name: Name
    task: Task | Literal["pretraining"]
    lr: Rate
    backbone_lr: Rate | None = None  # of tuned pre-trained weights; None: as `lr`
    head_lr: Rate | None = None  # of the classifier; None: as `lr`
    optimizer: Literal["adamw", "adamw_hf", "bertadam"] = "adamw"
    weight_decay: Amount
    no_decay: tuple[ParameterKind, ...] = ()  # kinds of parameters that do not decay
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Rate = 1e-8
    batch: Count  # clips per step over all devices; a repeated clip counts once
    # clips, counted so, of one forward pass in training: of a statistic of a BatchNorm, a draw of AIM's
    # dropped places or of mixup. What one of the authors' GPUs had; None: as many as a process has of a
    # batch in one part. A model that mixes clips then takes them all, and cannot be split.
    group: Count | None = None
    # the authors' GPUs, whose gathering of features leaves the encoders 1/n of their gradients
    gathered_by: Count = 1
    epochs: Count | None = None
    steps: Count | None = None
    schedule: Schedule = "cosine"
    warmup: Share = 0.0  # share of all steps
    warmup_epochs: Annotated[float, Field(ge=0)] | None = None  # or its length in epochs
    warmup_from: Share = 0.0  # slowfast, mmcv: share of the rate at the first step
    decay_from: Share | None = None  # wsd: share of the steps after which the rate falls
    clip_grad: Rate | None = None  # global norm
    # amp16, bf16: autocast; tuned weights stay fp32
    precision: Literal["fp32", "amp16", "bf16"] = "fp32"
    # fp16: the layers that CLIP's `convert_weights` converts, with their gradients and moments
    weights: Literal["fp32", "fp16"] = "fp32"
    # backward computes the inner values of a side network's blocks again, which then take no room
    checkpoint: bool = False
    label_smoothing: Share = 0.0
    fps: Rate | None = None  # rate at which a video is read before sampling; None: its own
    sampler: Sampler = "uniform"
    stride: Extent | None = None  # samplers stride and mmaction: frames from one taken to the next
    slice_framepos: Literal["head", "tail", "even"] = "even"  # clip4clip: which of too many frames
    random_train_frames: bool = False  # training takes frames by the sampler's random rule
    # before the crop: (height, width), or the short side; None: the short side of the crop
    resize: tuple[Extent, Extent] | Extent | None = None
    filter: Filter = "bicubic"  # of this resizing
    antialias: bool = True  # whether each new pixel is a mean of all that it covers
    three_crops: Literal["longer", "width"] = "longer"  # side along which a test's three crops lie
    # where a centre crop begins that leaves an odd number of pixels: torchvision's rounding, or down
    odd_centre: Literal["round", "floor"] = "round"
    spread: bool = (
        False  # retrieval: clips of the same captions come as far from each other as can be
    )
    keep_last: bool = False  # whether an epoch's last batch is kept where it is smaller
    augment: Augment | None = None
    on_broken: Literal["error", "replace"] = "error"  # a training video that cannot be decoded
    max_words: Extent = 32
    select: Selection | None = None  # None: the last weights count
    source: str | None = None

    def groups(self, clips: int) -> int:
        """Groups of a batch, of a training with that many clips; without `group` it is one. Of fewer clips
        than a batch as many of its groups, by a divisor, as leave none with more than `group`."""
        group, few = self.group or self.batch, min(clips, self.batch)
        whole = self.batch // group
        divisors = [n for n in range(1, min(whole, few) + 1) if whole % n == 0]
        return next((n for n in divisors if -(-few // n) <= group), divisors[-1])

    def size(self, clips: int) -> int:
        """Clips of a batch, of a training with that many: fewer than the recipe's where there are fewer,
        all groups of one size. What is over waits for another epoch, or with `keep_last` is filled up; not
        in retrieval, where a clip would be its own negative."""
        few, groups = min(clips, self.batch), self.groups(clips)
        fills = self.keep_last and self.task != "retrieval"
        return few + (-few % groups if fills else -(few % groups))

    def piece(self, ranks: int, parts: int) -> int:
        """Clips of one forward pass in training: a part of a process's, or a group of it."""
        part = self.batch // (ranks * parts)
        return min(part, self.group or part)

    def at_once(self, ranks: int, parts: int) -> int:
        """Clips whose values a process keeps for backward at once: those of a piece, and in retrieval of
        one part, where features are computed once, all that it has."""
        whole = self.task == "retrieval" and parts == 1
        return self.batch // ranks if whole else self.piece(ranks, parts)

    def problems(self) -> Iterator[str]:
        if (self.epochs is None) == (self.steps is None):
            yield "give either epochs or steps"
        if self.group and self.batch % self.group:
            yield f"group: expected to divide the batch of {self.batch} clips; found {self.group}"
        if max(self.betas) == 1:
            yield f"betas: expected shares below 1; found {list(self.betas)}"
        mixes = bool(self.augment and self.augment.mixes)
        if mixes and self.task != "recognition":
            yield "augment: mixup and cutmix mix labels, which only recognition has; drop them"
        if mixes and self.group is None:
            yield "group: mixup and cutmix mix the clips of a group; give their number"
        if self.augment and self.augment.imgaug and self.task != "recognition":
            yield "augment.imgaug: mirrors clips whose captions stay; drop it"
        if self.gathered_by > 1 and self.task != "retrieval":
            yield "gathered_by: only retrieval gathers features; drop it"
        if self.task == "retrieval":
            yield from self._problems_of_retrieval()
        if self.slice_framepos != "even" and self.sampler != "clip4clip":
            yield f"slice_framepos: only sampler clip4clip cuts; {self.sampler} does not; drop it"
        if self.weights == "fp16" and self.precision != "fp32":
            yield f"weights: fp16 computes without autocast; drop precision {self.precision}"
        if self.warmup_epochs is not None and (self.warmup or self.epochs is None):
            yield "warmup_epochs: expected with epochs, and in place of warmup"
        if self.warmup_epochs is not None and self.warmup_epochs >= self.epochs:
            allowed = f"expected fewer than the {self.epochs} epochs"
            yield f"warmup_epochs: {allowed}; found {self.warmup_epochs:g}"
        if self.schedule in ("side4video", "mmcv") and self.epochs is None:
            yield f"schedule: {self.schedule} counts in epochs; give epochs, not steps"
        if self.warmup_from and self.schedule not in ("slowfast", "mmcv"):
            yield f"warmup_from: schedule {self.schedule} has a start of its own; drop it"
        if (self.decay_from is None) == (self.schedule == "wsd"):
            yield f"decay_from: expected with schedule wsd alone; found {self.decay_from}"
        if self.decay_from is not None and not self.warmup_share <= self.decay_from < 1:
            yield f"decay_from: expected after the warm-up and below 1; found {self.decay_from:g}"
        if self.spread and self.task != "retrieval":
            yield "spread: only retrieval has captions; drop it"
        if (self.stride is None) == (self.sampler in ("stride", "mmaction")):
            yield f"stride: expected with samplers stride and mmaction; found {self.stride}"
        if self.random_train_frames and self.sampler in ("uniform", "clip4clip"):
            yield f"random_train_frames: {self.sampler} has no random rule; drop it"
        metrics = {"recognition": "top1", "retrieval": "r1"}
        if self.select and self.select.metric != metrics.get(self.task):
            expected = metrics.get(self.task, "no selection")
            yield f"select: metric: expected {expected} in {self.task}; found {self.select.metric}"
        if self.sampler == "clip4clip" and self.task != "retrieval":
            yield "sampler: clip4clip pads short videos, which only retrieval masks"

    def _problems_of_retrieval(self) -> Iterator[str]:
        if self.augment and self.augment.repeats > 1:
            yield "augment.repeats: a pair's copy would be one of its negatives; drop it"
        if self.label_smoothing:
            yield "label_smoothing: only recognition has labels; drop it"
        if self.head_lr:
            yield "head_lr: only recognition has a classifier; drop it"

    def frame_rule(self) -> dict[str, Any]:
        """The fields that decide which frames of a clip a test sees, and how large they become."""
        return self.model_dump(include=FRAME_RULE)

    @property
    def computes_in(self) -> str:
        """The precision in one word; fp16: weights in float16, without autocast."""
        return "fp16" if self.weights == "fp16" else self.precision

    @property
    def warmup_share(self) -> float:
        """The warm-up as a share of all steps."""
        if self.warmup_epochs is None:
            return self.warmup
        assert self.epochs is not None
        return self.warmup_epochs / self.epochs
