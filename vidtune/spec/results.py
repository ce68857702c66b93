"""What is read of the files that jobs write into the results folder. They may hold more.

<results>/<scale>/costs/<paper>.json              model -> `Counted`
<results>/<scale>/memory/<paper>.json             model -> `Predicted`
<results>/<scale>/bench/<gpu>/<model>.json        `Measured`; reference/<gpu>/<model>.json as well
<results>/<scale>/runs/<run>/train.json           `Trained`; eval.json: `Evaluated`
<results>/<scale>/backbones/<name>/pretrain.json  `Result`; premise.json: `Premised`
<results>/<scale>/steps/<key>.json                `Stepped`
<results>/<scale>/looks/<run>.npz                 `Looked`, as its entry `facts`
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from vidtune.spec.frozen import Amount, Count, Frozen, Task, Whole

Number = Annotated[float, Field(allow_inf_nan=False)]
Interval = tuple[Number, Number]  # least and largest
Ended = Literal["ok", "diverged", "oom"]


class Written(Frozen):
    """A file, or a part of one, that this project has written."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=True)


class Stamp(Written):
    """As `vidtune.provenance.stamp` gives it."""

    digest: str = ""
    spec: str = ""
    inputs: str = ""  # `vidtune.engine.made.inputs_digest`
    commit: str = ""
    device: str = ""
    versions: dict[str, str] = Field(default_factory=dict)


class Result(Written):
    provenance: Stamp = Stamp()
    seconds: Amount = 0.0


class TokenLayer(Written):
    sequences: Whole
    entering_attention: Whole
    leaving: Whole


class Counted(Result):
    gmacs: Amount
    views: Count
    params_total: Amount
    params_tuned: Amount
    tokens: tuple[TokenLayer, ...]
    output_tokens: Amount


class Peak(Written):
    peak_gib: Amount


class Fitted(Written):
    slope: Number
    offset: Number
    gb: Number
    fitted_on: tuple[str, ...]


class Predicted(Result):
    convention: str
    precision: str | None = None
    attention: str | None = None
    batch: Count | None = None
    frames: Count | None = None
    train: Peak
    inference: Peak
    fit: Fitted | None = None


class Phase(Written):
    status: Literal["ok", "oom"] | None = None
    peak_allocated_gib: Amount | None = None
    peak_reserved_gib: Amount | None = None
    nvml_device_gib: Amount | None = None  # in use on the whole GPU
    videos_per_s: Amount | None = None


class Measured(Result):
    status: Literal["ok", "busy", "oom"]
    conditions: dict[str, Any]
    train: Phase | None = None
    inference: Phase | None = None
    released: Phase | None = None  # a training step as the method's own code holds it in memory


class Trained(Result):
    status: Ended
    losses: tuple[tuple[Whole, float], ...] = ()  # (step, loss); no number where it diverged
    tested: tuple[tuple[Whole, dict[str, Number]], ...] = ()  # (step, metrics)
    best: Whole | None = None  # step of the best of `tested`

    def problems(self) -> Iterator[str]:
        if self.tested and self.best not in [step for step, _ in self.tested]:
            yield f"best: expected the step of one of its tests; found {self.best}"


class Best(Written):
    step: Whole
    tests: Whole
    metrics: dict[str, Number]


class Used(Written):
    used: Whole
    expected: Count


class Copies(Written):
    clips: Whole
    of: Whole
    short: Count
    form: str
    quality: Any
    difference: Number | None


class Parts(Written):
    ranks: Count
    parts: Count


class Evaluated(Result):
    status: Ended
    metrics: dict[str, Number]
    n: Whole
    coverage: dict[str, Used] = Field(default_factory=dict)
    best: Best | None = None
    resized: Copies | None = None
    replaced: Whole = 0
    split: Parts | None = None
    official: str | None = None


class ShownClip(Written):
    id: str
    label: str | None = None
    caption: str = ""


class ClassShares(Written):
    names: tuple[str, ...]
    n: tuple[Whole, ...]  # clips
    learned: tuple[Number, ...]
    zero_shot: tuple[Number, ...]

    def problems(self) -> Iterator[str]:
        if len({len(part) for part in (self.names, self.n, self.learned, self.zero_shot)}) > 1:
            yield "names, n, learned, zero_shot: expected as many of each"


class Looked(Result):
    status: Ended
    generated: bool
    clips: tuple[ShownClip, ...] = ()
    classes: ClassShares | None = None


class Probed(Written):
    within_pairs: Number
    chance: Interval
    n: Whole
    top1: Number


class Thresholds(Written):
    appearance_at_least: Number | None = None
    confidence: Number | None = None


class Checked(Written):
    """What the check of a premise found with the clips of a task."""

    zero_shot: Annotated[dict[str, Number], Field(min_length=1)]
    probe: Probed
    holds: Annotated[dict[str, bool], Field(min_length=1)]
    thresholds: Thresholds = Thresholds()


class Premised(Result):
    recognition: Checked | None = None
    retrieval: Checked | None = None
    references: dict[Task, dict[str, dict[str, Number]]] = Field(default_factory=dict)


class Stepped(Result):
    """What `vidtune.cost.predict_step.predict_step` gives."""

    lines: Annotated[tuple[tuple[Number, Number], ...], Field(min_length=1)]
    recomputed: tuple[tuple[Number, Number], ...] = ()  # where backward can compute blocks again
    gradients: Amount
    clip: Amount
    test: Amount
    gflops: dict[Literal["encode", "step", "recomputed", "view"], Amount]
    mixes: bool  # it computes clips of a group together
    whole: bool = False  # it computes a whole batch together, whatever a recipe says
