"""On a GPU: the same outputs and gradients as on the CPU, in every precision, compiled and resumed."""

import os
import subprocess
from collections.abc import Callable

import pytest
import torch
from helpers.disturbed import command, environment
from helpers.golden_models import without_chance
from helpers.zoo import MODELS, every_model, shown, stirred, texts, videos
from torch import Tensor

from vidtune.cli.rules.bench import PRECISIONS
from vidtune.cost.measured_phases import measured_recipe
from vidtune.engine.device import precision
from vidtune.engine.step import Step, objective
from vidtune.nn.attention import attend
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.spec import load_json, write_json

pytestmark = pytest.mark.skipif(
    "VIDTUNE_ON_A_GPU" not in os.environ, reason="make test-gpu runs it"
)
CUDA = torch.device("cuda")
State = dict[str, Tensor]
FIRST = {(m.method, m.task): m for m in reversed(MODELS)}
TRAINED = (
    *("side4video/b16-ssv1", "side4video/dist-b16", "side4video/b32-msrvtt"),
    *("side4video/clip4clip-b32-msrvtt", "tempme/tempme-b32", "tempme/lora-b32"),
)
RECIPES = {"recognition": "mini-recognition", "retrieval": "mini-retrieval"}
IN_HALF = "clip4clip-retrieval"  # its optimiser and rates are for weights in float16


def loss_of(net: VideoModel, video: Tensor, target: Tensor) -> Tensor:
    return objective(net, net.at_once(video), target)


def inputs(net: VideoModel, device: torch.device) -> tuple[Tensor, Tensor]:
    target = torch.arange(3) if isinstance(net, Recognizer) else texts()
    return videos().to(device), target.to(device)


@every_model
def test_computes_what_the_cpu_computes(m):
    """Loss and every gradient, in double precision."""
    found = []
    for device in (torch.device("cpu"), CUDA):
        net = stirred(m).double().train().to(device)
        without_chance(net)
        video, target = inputs(net, device)
        loss = loss_of(net, video.double(), target)
        loss.backward()
        grads = {n: p.grad.cpu() for n, p in net.named_parameters() if p.grad is not None}
        found.append((loss.detach().cpu(), grads))
    torch.testing.assert_close(*found, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("m", FIRST.values(), ids=shown)
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
def test_nothing_waits_for_the_device(m):
    net = stirred(m).train().to(CUDA)
    video, target = inputs(net, CUDA)
    loss_of(net, video, target).backward()
    try:
        torch.cuda.set_sync_debug_mode("error")
        loss_of(net, video, target).backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_attention_over_many_keys_has_the_same_gradient_twice(dtype, masked):
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 8, 12, 1000, 64, device=CUDA, dtype=dtype).unbind()
    bias = torch.randn(8, 1, 1, 1000, device=CUDA, dtype=dtype) if masked else None
    found = []
    for _ in range(4):
        leaves = [x.clone().requires_grad_() for x in (q, k, v)]
        attend(*leaves, bias).square().sum().backward()
        found.append([x.grad for x in leaves])
        assert torch.get_deterministic_debug_mode() == 0
    for grads in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(grads, found[0], strict=True))


@pytest.mark.parametrize("given", PRECISIONS)
@pytest.mark.parametrize("m", FIRST.values(), ids=shown)
def test_steps_in_every_precision(plan, m, given):
    """The loss of a first step is near that in single precision, and the weights that are tuned move."""
    name = IN_HALF if given == "fp16" else RECIPES[m.task]
    recipe = measured_recipe(plan.config.recipes[name], 3, given)
    net = stirred(m)
    without_chance(net)
    video, target = inputs(net.to(CUDA), CUDA)
    net.train()
    with torch.no_grad():
        single = loss_of(net, video, target)
    if given == "fp16":
        if not net.halved:
            pytest.skip("computes beside its backbone in single precision")
        net.to_half()
    elif given != "fp32":
        net.lower_frozen(torch.float16 if given == "amp16" else torch.bfloat16)
    step = Step(net, set(), recipe, CUDA)
    before, first = [p.detach().clone() for p in step.tuned], None
    for _ in range(16):  # the first ones find a scale at which no gradient overflows
        with precision(recipe, CUDA):
            loss = loss_of(net, video, target)
        first = loss.detach() if first is None else first
        step.backward(loss)
        step.update()
    torch.testing.assert_close(first.float(), single, rtol=0.05, atol=0.05)
    assert all(p.isfinite().all() for p in step.tuned)
    assert any(not torch.equal(a, b) for a, b in zip(before, step.tuned, strict=True))


@pytest.mark.parametrize(
    "m", [FIRST["tempme", "retrieval"], FIRST["side4video", "recognition"]], ids=shown
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of inductor's own imports
def test_compiles(m):
    """By inductor, each of a model's two parts as `vidtune bench --compile` does; gradients stay."""
    found = []
    for compiled in (False, True):
        net = stirred(m).train().to(CUDA)
        without_chance(net)
        if compiled:
            net.compile()
            net.prepare = torch.compile(net.prepare)
        video, target = inputs(net, CUDA)
        loss = objective(net, net(*net.prepare(video)), target)
        loss.backward()
        grads = {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
        found.append((loss.detach(), grads))
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)


@pytest.fixture
def train(short_run, tmp_path) -> Callable[..., State | None]:
    """A function that trains a run of one name on and returns its weights; None where it was stopped."""

    def run_on(
        name: str, precision: str, folder: str, *words: object, **env: object
    ) -> dict[str, Tensor] | None:
        method = {"aim": {"method": "aim", "options": {}}}.get(name, {})  # with dropout
        name = "side4video/b16-ssv1" if method else name
        run = short_run(f"{name}@0", group=4, precision=precision)
        spec, out = tmp_path / "spec.json", tmp_path / folder / "model.pt"
        write_json(spec, run.model_copy(update={"model": run.model.model_copy(update=method)}))
        asked = command("train", "--spec", spec, "--out", out, *words)
        done = subprocess.run(asked, env=environment(**env), capture_output=True, text=True)
        assert done.returncode == (75 if env else 0), done.stderr
        if env:
            return None
        assert "cpu" not in load_json(out.with_name("train.json"))["provenance"]["device"]
        return torch.load(out, map_location="cpu")["state"]

    return run_on


@pytest.mark.parametrize(
    ("name", "precision"), [*((n, "fp32") for n in ("aim", *TRAINED)), ("aim", "amp16")]
)
def test_a_training_in_parts_or_stopped_ends_in_the_same_bits(name, precision, train):
    """With chance in it: CUDA's generator is kept in a snapshot."""
    whole = train(name, precision, "whole")
    train(name, precision, "stopped", VIDTUNE_STOP_AFTER=2)
    parts = train(name, precision, "parts", "--parts", 2)
    for state in (train(name, precision, "stopped"), parts):
        assert all(torch.equal(state[key], whole[key]) for key in whole)


def test_a_full_gpu_is_a_row_and_nvml_is_asked(tmp_path):
    row, given = tmp_path / "row.json", ["--steps", 2, "--warmup", 1, "--even-if-busy"]

    def bench(*words: object) -> dict[str, object]:
        asked = [*command("bench", *words, *given, "--out", row)]
        done = subprocess.run(asked, env=environment(), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return load_json(row)

    few = ["--batch", 2, "--only", "train", "inference"]
    phase = bench("tempme/tempme-b32", *few)["train"]
    assert phase["peak_allocated_gib"] > 0.5 and phase["nvml_device_gib"] > 0.5
    assert phase["joules_per_video"] > 0 and phase["sm_mhz"]["max"] > 0
    full = bench("tempme/clip4clip-b16", "--batch", 1 << 17, "--only", "train")
    assert full["status"] == "oom"
