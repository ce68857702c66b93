"""How a run's batches are split so that they fit a machine's GPUs, and about how long it takes.

Arithmetic on what vidtune/cost/predict_step.py predicts; nothing here is measured. A training takes

    steps x clips x operations of a clip / (GPUs x operations a second)

without decoding, waiting and exchange between GPUs; a test its videos x views likewise, and a training
the tests in it. Imports no torch.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.spec import GIB, Dataset, Recipe, Run, Workload, load_json, parse, parse_gpus
from vidtune.spec.results import Stepped

# What no prediction sees of a GPU: GiB of CUDA's context, of workspaces of cuBLAS and cuDNN, and of buffers
# of NCCL; and the share that the caching allocator cannot use because it lies in fragments. On an H200 the
# context had 0.75 GiB, and the allocator held 4 to 5 % more than peaks above 40 GiB, about 10 % more than
# smaller ones (results/reference/nvidia-h200), of which it gives back what is free before it fails. How
# much that is, and NCCL's buffers, nobody has measured: both are assumed.
CONTEXT, FRAGMENTS = 1.0, 0.04
# TFLOP/s of one GPU that a training reaches, a third of an A100's 312 in half precision and three quarters
# of its 19.5 in float32 (NVIDIA A100 datasheet; TF32 is off). Assumed.
HALF, SINGLE = 100.0, 15.0
# How many clips, or pairs with a caption, an epoch takes, and how many videos a test has; None: unknown.
Sizes = tuple[int | None, int | None]


class Speed(NamedTuple):
    """TFLOP/s of one GPU."""

    half: float = HALF
    single: float = SINGLE

    def of(self, recipe: Recipe) -> float:
        halved = recipe.precision != "fp32" or recipe.weights == "fp16"
        return self.half if halved else self.single


class Need(Stepped):
    """What `vidtune.cost.predict_step.predict_step` has predicted; GiB and GFLOPs."""

    @classmethod
    def read(cls, path: Path) -> "Need":
        return parse(cls, load_json(path), path)

    def peak(self, recipe: Recipe, ranks: int, parts: int, recompute: bool = False) -> float:
        """GiB of each GPU in training. Gradients of several pieces are added by halves, and in retrieval
        all clips of a GPU stay until the last piece is computed."""
        each, clips = recipe.batch // ranks, recipe.at_once(ranks, parts)
        lines = self.recomputed if recompute else self.lines
        gib = max(fixed + one * clips * repeats(recipe) for fixed, one in lines)
        halvings = (each // recipe.piece(ranks, parts) - 1).bit_length()
        waiting = (each - clips) * self.clip if recipe.task == "retrieval" else 0.0
        return gib + halvings * self.gradients + waiting


class Choice(NamedTuple):
    """How a batch is split, as `vidtune train` takes it."""

    ranks: int
    parts: int
    clips: int  # whose values are kept at once; a repeated clip counts once
    gib: float  # predicted of each GPU
    recompute: bool = False  # whether backward computes blocks again


def repeats(recipe: Recipe) -> int:
    return recipe.augment.repeats if recipe.augment else 1


def choose(recipe: Recipe, need: Need, gpus: int, gib: float) -> Choice | str:
    """Return the most GPUs that share a batch, with the fewest parts that fit; or why none fit.

    Every part is a multiple of the clips that the recipe computes together (`group`). Backward computes
    blocks again, where the method has such, only if nothing fits otherwise.
    """
    room, batch = room_of(gib), recipe.batch
    if need.whole:
        recipe = recipe.model_copy(update={"group": None})
    moments = 2 * need.gradients if recipe.select else 0.0  # stay while a training is tested
    if need.test + moments > room:
        return f"a test of one clip at once needs {need.test + moments:.1f} GiB of {_has(gib)}"
    least = None
    group = recipe.group or (batch if need.whole or need.mixes else 1)
    for recompute in (False, True) if need.recomputed else (False,):
        for ranks, parts in splits(batch, gpus, group):
            peak = need.peak(recipe, ranks, parts, recompute)
            if peak <= room:
                return Choice(ranks, parts, recipe.at_once(ranks, parts), peak, recompute)
            if least is None or peak < least[0]:
                least = peak, recipe.at_once(ranks, parts)
    assert least is not None, "one GPU takes the whole batch"
    peak, clips = least
    together = "a clip needs" if clips == 1 else f"{clips} clips, computed together, need"
    return f"{together} {peak:.1f} GiB of {_has(gib)}"


def _has(gib: float) -> str:
    return f"the {room_of(gib):.1f} that a GPU of {gib:g} GiB has beside CUDA and fragments"


def room_of(gib: float) -> float:
    """GiB of a GPU that what is predicted may take."""
    return (gib - CONTEXT) * (1 - FRAGMENTS)


def splits(batch: int, gpus: int, group: int) -> Iterator[tuple[int, int]]:
    """Yield (GPUs, parts) that divide a batch into multiples of `group` clips, most GPUs and fewest parts
    first."""
    for ranks in range(min(gpus, batch), 0, -1):
        for parts in range(1, batch // ranks + 1):
            if batch % (ranks * parts) == 0 and batch // (ranks * parts) % group == 0:
                yield ranks, parts


def training_hours(
    run: Run, sizes: Sizes, need: Need, choice: Choice, speed: Speed
) -> float | None:
    """Hours of a training, with its tests (one view of each video) where the recipe selects; None: unknown.

    Retrieval in several parts computes its features twice.
    """
    recipe, (items, videos) = run.recipe, sizes
    if items is None and recipe.steps is None:
        return None
    per_epoch = int((items or 0) * run.train_share) // recipe.batch
    steps = recipe.steps or (recipe.epochs or 0) * per_epoch
    gflops = need.gflops["recomputed" if choice.recompute else "step"]
    if recipe.task == "retrieval" and choice.parts > 1:
        gflops += need.gflops["encode"]
    tests = recipe.select.count(per_epoch, steps) if recipe.select and per_epoch else 0
    clips = steps * recipe.batch * repeats(recipe)
    whole = clips * gflops + tests * (videos or 0) * need.gflops["view"]
    return _hours(whole, choice, recipe, speed)


def test_hours(run: Run, sizes: Sizes, need: Need, choice: Choice, speed: Speed) -> float | None:
    """Hours of a test of all videos with all views of each, at most: where the recipe selects, the best
    weights are tested beside the last ones if they are others. Texts take next to nothing."""
    _, videos = sizes
    if videos is None:
        return None
    gflops = videos * run.model.n_views * need.gflops["view"]
    return _hours(2 * gflops if run.recipe.select else gflops, choice, run.recipe, speed)


def _hours(gflops: float, choice: Choice, recipe: Recipe, speed: Speed) -> float:
    return gflops / (1e3 * speed.of(recipe) * choice.ranks) / 3600


def items_of(plan: Plan, dataset: str) -> Sizes:
    declared: Dataset = plan.config.datasets[dataset]
    if declared.generated:
        clips = plan.config.generated[declared.generated].clips
        return clips["train"], clips[declared.evaluate_on]
    expected = declared.expected
    return declared.training_items or expected.get("train"), expected.get(declared.evaluate_on)


def kept_at(plan: Plan, load: Workload) -> Path:
    """The file that keeps the prediction of a workload by today's code."""
    digest = provenance.step_digest(load.model.method)
    return plan.root / "steps" / f"{provenance.spec_digest(load)}-{digest}.json"


def trained(plan: Plan) -> dict[str, Run]:
    """Map each variant that the scale trains to its first run."""
    first: dict[str, Run] = {}
    for run in plan.runs.values():
        first.setdefault(run.model.name, run)
    return first


def missing(plan: Plan) -> dict[Path, Workload]:
    """The workloads without a prediction, by the file that is to keep it."""
    loads = (run.workload() for run in plan.runs.values())
    return {path: load for load in loads if not (path := kept_at(plan, load)).is_file()}


def split_all(plan: Plan, names: list[str], gpus: int, gib: float) -> dict[str, Choice | str]:
    """`choose` for runs by name."""
    runs = {name: plan.runs[name] for name in names}
    needs = {name: Need.read(kept_at(plan, run.workload())) for name, run in runs.items()}
    return {name: choose(run.recipe, needs[name], gpus, gib) for name, run in runs.items()}


def split_of(plan: Plan, names: list[str]) -> dict[str, Choice | str]:
    """`split_all` over the GPUs that the configuration names; nothing where it names none, or predictions
    are missing."""
    gpus = plan.config.settings.gpus
    if gpus is None or missing(plan):
        return {}
    count, size = parse_gpus(gpus)
    return split_all(plan, names, count, size / GIB)


def table(plan: Plan, gpus: int, gib: float, speed: Speed) -> list[dict[str, Any]]:
    """Return a row for every variant that the scale trains: split, GiB and hours, or `why` not."""
    rows = []
    for name, run in trained(plan).items():
        need = Need.read(kept_at(plan, run.workload()))
        choice = choose(run.recipe, need, gpus, gib)
        if isinstance(choice, str):
            rows.append({"variant": name, "why": choice})
            continue
        sizes = items_of(plan, run.dataset.name)
        rows.append(
            {
                "variant": name,
                **choice._asdict(),
                "repeats": repeats(run.recipe),
                "hours": training_hours(run, sizes, need, choice, speed),
                "test_hours": test_hours(run, sizes, need, choice, speed),
            }
        )
    return rows
