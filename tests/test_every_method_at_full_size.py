"""A variant of every method on a miniature of its real dataset, in two processes (one where there is one
GPU): three steps, stopped and resumed, and a test in its views.

With VIDTUNE_FULL_SIZE=1 (`make test-full`) the backbones have their full size, with random weights in
the form of the released ones: minutes a method. Without it one variant runs, on a mini backbone.
Batches are cut down. On a CPU of full size amp16 becomes bf16 and float16 weights float32, for without
products in float16 it takes many times as long; all others compute as declared.
"""

import os
import subprocess
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import torch
from helpers import miniature, miniature_recognition, staged
from helpers.common import REPO
from helpers.disturbed import command, environment
from helpers.forks import Forks, forking
from helpers.outcome import same
from helpers.released import write_openai
from helpers.served import serving

from vidtune.datasets import extract, fetch, index, split
from vidtune.nn.clip import CLIP
from vidtune.plan import Plan, load, method_names
from vidtune.remote import cache
from vidtune.spec import Backbone, Dataset, Recipe, Run, Weights, load_json, write_json

FULL = os.environ.get("VIDTUNE_FULL_SIZE") == "1"
VARIANTS = [
    *("side4video/b16-ssv2", "side4video/b32-msrvtt", "side4video/e14-ssv1-interval"),
    *("side4video/st-adapter-b16", "side4video/aim-b16", "side4video/evl-b16"),
    *("side4video/dist-b16", "side4video/b16-ssv1-probe"),
    *("side4video/clip4clip-b32-msrvtt", "side4video/clip4clip-frozen-b32-msrvtt"),
    *("tempme/tempme-b32", "tempme/lora-b32", "tempme/tome-b32", "tempme/prompt-b32"),
    *("tempme/dgl-b16", "tempme/adapter-b32", "tempme/cross-modal-adapter-b32"),
]
MINI = ["side4video/b16-ssv2"]
STEPS, BATCH = 3, 2 if FULL else 4
GPUS = torch.cuda.device_count()
RANKS = 1 if GPUS == 1 else 2
WHOLE_EPOCHS = ("side4video", "mmcv")  # schedules that count in epochs
# (height, width), frames and frames a second of the videos, by dataset: as long as their samplers ask for
FORMS = {"ssv2": ((240, 426), 40, 12), "msrvtt": ((240, 320), 96, 8)}
LIKE_FLOAT32 = {"amp16": "bf16"}
E14_BYTES = 48 << 30  # of two processes, each with the trunk's 4.4 billion weights as they are read

Place = Callable[..., tuple[Dataset, Path]]


@pytest.fixture(scope="module")
def declared() -> Plan:
    return load(REPO / "config", {"scale": "full"})


@pytest.fixture(scope="module")
def prepared(declared: Plan, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A function that gives a dataset, and where it is after all stages from its owner's files on."""
    root, made = tmp_path_factory.mktemp("data"), {}

    def stages(name: str) -> tuple[Dataset, Path]:
        place, first = root / name, count(step=5)
        size, frames, rate = FORMS.get(name, ((240, 320), 0, 0))

        def video(extension: str = "mp4") -> bytes:
            return staged.video(extension, frames, rate, size, next(first) % 40)

        with pytest.MonkeyPatch.context() as patch, serving() as server:
            patch.setenv("no_proxy", "127.0.0.1")
            patch.setattr(miniature, "video", video)
            patch.setattr(miniature_recognition, "video", video)
            jpg = miniature_recognition.jpg
            patch.setattr(miniature_recognition, "jpg", partial(jpg, size=size))
            mini = miniature.MAKERS[name]()
            data = miniature.served(declared.config.datasets[name], mini, server, place)
            for stage in (fetch, extract):
                stage.run(data, place, show=False)
        split.run(data, place)
        index.run(data, place, show=False)
        return data, place

    def give(name: str) -> tuple[Dataset, Path]:
        if name not in made:
            made[name] = stages(name)
        return made[name]

    return give


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Backbone], Path]:
    """A function that gives random weights of a backbone, made once."""
    folder = tmp_path_factory.mktemp("weights")

    def give(backbone: Backbone) -> Path:
        path = folder / f"{backbone.name}.pt"
        if path.exists():
            return path
        if FULL:
            return write_openai(path, backbone)
        torch.save(CLIP(backbone).state_dict(), path)
        return path

    return give


def short(recipe: Recipe) -> Recipe:
    """The recipe with `STEPS` steps of few clips: in epochs where its schedule counts in them."""
    fields = recipe.model_dump()
    fields |= {"batch": BATCH, "group": BATCH // 2 if recipe.group else None}
    if recipe.schedule in WHOLE_EPOCHS:
        fields |= {"epochs": 1, "warmup_epochs": recipe.warmup_share}
    else:
        fields |= {"epochs": None, "steps": STEPS}
        fields |= {"warmup": recipe.warmup_share, "warmup_epochs": None}
    if FULL and not GPUS:
        fields |= {"precision": LIKE_FLOAT32.get(recipe.precision, recipe.precision)}
        fields |= {"weights": "fp32"}
    return Recipe.model_validate(fields)


def run_of(name: str, declared: Plan, prepared: Place, weights: Callable[[Backbone], Path]) -> Run:
    """The declared run on the miniature of its dataset, of which it trains on a few clips."""
    run = declared.runs[f"{name}@0"]
    data, place = prepared(run.dataset.name)
    model = run.model
    if not FULL:
        small = load(REPO / "config", {"scale": "mini"}).runs[f"{name}@0"].model
        model = small.model_copy(update={"views": run.model.views})
    else:
        url = model.backbone.weights.url if model.backbone.weights else ""
        free = model.backbone.model_copy(update={"weights": Weights(url=url, sha256=None)})
        model = model.model_copy(update={"backbone": free})
    path = place / "train.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[: STEPS * BATCH]))
    update = {
        "model": model.model_copy(update={"classes": data.classes}),
        "dataset": data,
        "recipe": short(run.recipe),
        "data": str(place),
        "weights": str(weights(model.backbone)),
    }
    return run.model_copy(update=update)


def in_processes(words: list[object], log: Path, **env: object) -> tuple[int, float]:
    """(Exit code, GiB of the largest process) of all ranks."""
    with log.open("wb") as file:
        process = subprocess.Popen(command(*words), env=environment(**env), stderr=file)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_maxrss / 2**20


def in_forks(forks: Forks, words: list[object], log: Path, **env: object) -> tuple[int, float]:
    """The same of forks of one process, which start in no time."""
    code = forks.start(words, log, **env).wait(timeout=100)
    assert code is not None, log.read_text()
    return code, 0.0


def needs(name: str) -> str | None:
    """Why a variant cannot run here."""
    if "e14" in name:
        room = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if room < E14_BYTES:
            return f"two processes with ViT-E take {E14_BYTES >> 30} GiB; {room >> 30} GiB are here"
    if not cache.CLIP_BPE.path.is_file():
        return "CLIP's BPE vocabulary is not in the cache (vidtune fetch clip-bpe)"
    return None


def test_a_variant_of_every_method_is_here(declared: Plan):
    assert {declared.runs[f"{name}@0"].model.method for name in VARIANTS} == set(method_names())


@pytest.mark.parametrize("name", VARIANTS if FULL else MINI)
def test_trains_stops_resumes_and_is_tested(
    name: str,
    declared: Plan,
    prepared: Place,
    weights: Callable[[Backbone], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    if FULL and (reason := needs(name)):
        pytest.skip(reason)
    run = run_of(name, declared, prepared, weights)
    spec, log = tmp_path / "spec.json", tmp_path / "log"
    write_json(spec, run)
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    with forking([spec]) if not FULL else nullcontext() as forks:
        start, begin = partial(in_forks, forks) if forks else in_processes, time.monotonic()

        def ends(verb: str, out: Path, wanted: int, **env: object) -> float:
            words = [verb, "--spec", spec, "--out", out, "--ranks", RANKS]
            code, peak = start(words, log, **env)
            assert code == wanted, log.read_text()
            return peak

        peak = ends("train", whole / "model.pt", 0)
        ends("train", stopped / "model.pt", 75, VIDTUNE_STOP_AFTER=1)
        assert (stopped / "resume.pt").is_file() and not (stopped / "model.pt").exists()
        ends("train", stopped / "model.pt", 0)
        same(stopped, whole)
        ends("evaluate", stopped / "eval.json", 0)
    facts = load_json(stopped / "train.json")
    assert facts["status"] == "ok" and facts["steps"] == STEPS and len(facts["losses"]) == STEPS
    result = load_json(stopped / "eval.json")
    assert result["status"] == "ok" and result["metrics"] and result["n"] > 0
    assert ("best" in result) == bool(run.recipe.select)
    if FULL:
        spent = time.monotonic() - begin
        with capsys.disabled():
            print(f"\n{name}: {run.model.method}: {spent:.0f} s, {peak:.1f} GiB a process", end=" ")
