"""Predicting memory: a ledger compared by hand, CUDA's autocast on the CPU, and the verb."""

import json

import pytest
import torch
from helpers.common import one_line
from helpers.zoo import MODELS
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional as F

from vidtune.cost import predict_memory
from vidtune.cost.memory_cuda import LOWER, SOFTMAX, WIDENS, WIDEST, cuda_like, listed, policy
from vidtune.cost.memory_ledger import BLOCK, Ledger
from vidtune.nn.attention import attend
from vidtune.spec import UserError, parse_size

KB = 1024


def test_what_a_recipe_recomputes_takes_less(plan):
    """As the released EVA code does (eva_clip/eva_vit_model.py:181,193,202)."""
    rows = plan.specs()[plan.spec_of("memory", "side4video")].rows
    again = {row.model.backbone.name for row in rows if row.checkpoint}
    assert again == {"vit-e14"} == {r.model.backbone.name for r in rows} & again
    (small,) = (
        m
        for m in MODELS
        if (m.method, m.task, m.backbone.arch) == ("side4video", "recognition", "eva")
    )
    kept, less = (predict_memory.predict(small, 8, checkpoint=again) for again in (False, True))
    assert less["train"]["by_kind"]["activations"] < 0.7 * kept["train"]["by_kind"]["activations"]
    assert less["inference"] == kept["inference"] and "checkpointed" in less["convention"]


def hidden_layer() -> tuple[Ledger, list[int]]:
    """Returns the ledger of the second step of Linear(256, 512), ReLU, Linear(512, 128) on 64 rows,
    and the bytes of every parameter."""
    with FakeTensorMode(), Ledger() as ledger:
        net = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 128))
        x = torch.empty(64, 256)
        ledger.label(net.parameters(), "weights")
        ledger.label([x], "activations")
        optimizer = torch.optim.AdamW(net.parameters(), fused=True)
        for _ in range(2):
            ledger.phases.clear()
            optimizer.zero_grad()
            with ledger.phase("forward"):
                loss = net(x).sum()
                ledger.label_rest("activations")
            with ledger.phase("backward"):
                loss.backward()
                ledger.label((p.grad for p in net.parameters()), "gradients")
            with ledger.phase("step"):
                optimizer.step()
                states = optimizer.state.values()
                ledger.label((t for s in states for t in s.values()), "optimizer")
    return ledger, [p.numel() * 4 for p in net.parameters()]


def test_ledger_of_two_layers_by_hand():
    ledger, (w1, b1, w2, b2) = hidden_layer()
    assert (w1, b1, w2, b2) == (512 * KB, 2 * KB, 256 * KB, BLOCK)
    tuned = w1 + b1 + w2 + b2
    always = tuned + 2 * tuned + 4 * BLOCK + 64 * KB  # weights, moments, step counters, input
    by_phase, by_kind = ledger.peaks()
    assert by_phase == {
        # ReLU's input, freed then, and its output; the loss of the step before
        "forward": always + 2 * 128 * KB + BLOCK,
        # all gradients, and of what came before them that of ReLU's input; the loss and its own
        "backward": always + tuned + 128 * KB + 2 * BLOCK,
        "step": always + tuned + BLOCK,  # gradients and the loss
    }
    assert by_kind == {
        "weights": tuned,
        "gradients": tuned,
        "optimizer": 2 * tuned + 4 * BLOCK,
        "activations": 64 * KB + BLOCK,  # the input and the loss: ReLU's output has been used
        "workspace": 128 * KB + BLOCK,
    }
    assert sum(by_kind.values()) == ledger.peak == by_phase["backward"]


def test_a_view_is_no_storage_and_small_ones_fill_a_block():
    with FakeTensorMode(), Ledger() as ledger, ledger.phase("forward"):
        x = torch.empty(3)
        y = x.view(3, 1).expand(3, 100)
        assert ledger.enter(x) == ledger.enter(y)
    assert ledger.peak == BLOCK


def test_freed_storages_are_free():
    with FakeTensorMode(), Ledger() as ledger, ledger.phase("forward"):
        for _ in range(5):
            x = torch.empty(1000)
            del x
    assert ledger.peak == 4096


def test_softmax_has_a_product_of_its_own_in_backward():
    with FakeTensorMode(), Ledger() as ledger:
        x = torch.empty(KB, requires_grad=True)
        y = x.softmax(dim=-1)
        gradient = torch.empty(KB)
        with ledger.phase("backward"):
            y.backward(gradient)
    assert ledger.peak == 5 * 4 * KB  # beside input, output and their gradients
    assert ledger.live()[-1] == 4 * 4 * KB


def test_policy_is_all_of_cudas_list():
    """Every operator in LOWER, WIDEST or WIDENS is on CUDA's list, and none of the list is lost."""
    cuda = {name.split(".")[0] for name in listed("AutocastCUDA")}
    assert cuda >= LOWER | WIDEST | WIDENS
    kinds = policy()
    assert set(SOFTMAX) == {name for name, kind in kinds.items() if kind == "softmax"}
    single = {name for name, kind in kinds.items() if kind == "single"}
    assert {"layer_norm", "exp", "pow.Tensor_Scalar", "cosine_similarity", "norm.Scalar"} <= single
    left = listed("AutocastCUDA") - listed("AutocastCPU") - set(kinds)
    assert all(
        "cell" in n or "conv" in n or "_upsample" in n or n[0] == "_" or "rms" in n for n in left
    )


HALVES = torch.ones(4, 4, dtype=torch.float16)


@pytest.mark.parametrize(
    "call, dtype",
    [
        (lambda x: x @ x, torch.float16),
        (lambda x: F.linear(x.float(), x.float()), torch.float16),
        (lambda x: F.conv1d(x[None], x[..., None]), torch.float16),
        (lambda x: F.layer_norm(x, (4,)), torch.float32),
        (lambda x: x.softmax(dim=-1), torch.float32),
        (lambda x: x.log_softmax(dim=-1), torch.float32),
        (lambda x: x.sum(dim=-1), torch.float32),
        (lambda x: F.normalize(x, dim=-1), torch.float32),
        (lambda x: F.cross_entropy(x, x.argmax(dim=-1)), torch.float32),
        (lambda x: x.exp(), torch.float32),
        (lambda x: x.scatter_add(0, x.long(), x.float()), torch.float32),
        (lambda x: x.mean(dim=-1), torch.float16),
        (lambda x: F.gelu(x), torch.float16),
        (lambda x: x + x.float(), torch.float32),
    ],
)
def test_autocast_is_cudas(call, dtype):
    """Types are those that pytorch.org/docs/stable/amp.html lists for CUDA."""
    with FakeTensorMode(), cuda_like("explicit", "amp16"), predict_memory.autocast("amp16"):
        assert call(torch.empty(4, 4, dtype=torch.float16)).dtype == dtype


def test_the_cpus_autocast_is_left_as_it_was():
    before = torch._C._dispatch_has_kernel_for_dispatch_key("aten::layer_norm", "AutocastCPU")
    with cuda_like("explicit", "amp16"):
        pass
    with torch.autocast("cpu", torch.bfloat16):
        assert F.layer_norm(HALVES.bfloat16(), (4,)).dtype == torch.bfloat16
    after = torch._C._dispatch_has_kernel_for_dispatch_key("aten::layer_norm", "AutocastCPU")
    assert before is after is False


IN_HALF = 32 * 64 * 2  # bytes of 32 tokens of 64 channels


@pytest.mark.parametrize(
    "precision, attention, kept",
    [
        ("amp16", "fused", [IN_HALF, 32 * 4]),  # the output and a log-sum-exp per token
        ("amp16", "memory-efficient", [IN_HALF, 32 * 4]),
        ("fp32", "fused", [2 * IN_HALF, 32 * 4]),
        # scaled queries, the softmax in single precision and its half, the output
        ("amp16", "explicit", [IN_HALF, 32 * 32 * 4, 32 * 32 * 2, IN_HALF]),
        ("fp32", "explicit", [2 * IN_HALF, 32 * 32 * 4, 2 * IN_HALF]),
    ],
)
def test_what_attention_keeps_beside_its_inputs(precision, attention, kept):
    dtype = torch.float16 if precision == "amp16" else torch.float32
    with FakeTensorMode(), cuda_like(attention, precision), Ledger() as ledger:
        q, k, v = (torch.empty(1, 1, 32, 64, dtype=dtype, requires_grad=True) for _ in range(3))
        with predict_memory.autocast(precision):
            start = len(ledger.events)
            out = attend(q, k, v)
        live = sum(change for _, change in ledger.events[start:])
    seeds = 2 * BLOCK if attention != "explicit" else 0  # of a dropout that does not happen
    assert live == sum(-(-size // BLOCK) * BLOCK for size in kept) + seeds
    assert out.dtype == dtype


def test_largest_batch():
    sizes = []

    def peak(batch: int) -> int:
        sizes.append(batch)
        return 100 + 7 * batch

    limits = (50, 107, 113, 114, 800)
    assert [predict_memory.largest_batch(peak, limit) for limit in limits] == [0, 1, 1, 2, 100]
    assert len(sizes) < 30


def test_largest_batch_of_a_peak_with_steps():
    def peak(batch: int) -> int:
        return -(-batch // 8) * 10

    for limit in range(5, 95, 5):
        assert predict_memory.largest_batch(peak, limit) == limit // 10 * 8


@pytest.mark.parametrize(
    "text, size",
    [("24GiB", 24 << 30), ("80 GB", 80 * 10**9), ("1.5gib", 3 << 29), ("512MB", 512e6)],
)
def test_sizes(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["24", "GiB", "-1GiB", "0GB", "24 GiB!", "1e9B", ""])
def test_what_is_no_size(text):
    with pytest.raises(UserError, match="such as 24GiB"):
        parse_size(text)


def test_command(vidtune):
    light = ("memory", "side4video/b16-light-ssv2")
    code, out, _ = vidtune(*light, "--batch", 2, "--frames", 4, "--json")
    result = json.loads(out)
    assert code == 0
    assert (result["batch"], result["frames"]) == (2, 4)
    assert result["convention"] == "amp16, explicit attention"
    for part in (result["train"], result["inference"]):
        assert sum(part["by_kind"].values()) == pytest.approx(part["peak_gib"])
        assert max(part["by_phase"].values()) == part["peak_gib"]
    assert result["inference"]["peak_gib"] < result["train"]["peak_gib"]
    code, out, _ = vidtune(*light, "--frames", 4, "--fits", "2GiB")
    batch = int(out.split("a batch of ")[1].split()[0])
    assert code == 0
    peaks = []
    for n in (batch, batch + 1):
        peaks.append(json.loads(vidtune(*light, "--frames", 4, "--batch", n, "--json")[1]))
    assert peaks[0]["train"]["peak_gib"] <= 2 < peaks[1]["train"]["peak_gib"]


@pytest.mark.parametrize(
    "args, says",
    [
        (("side4video/nothing",), "is not known"),
        ((), "name a variant"),
        (("side4video/b16-ssv2", "--fits", "24"), "such as 24GiB"),
        (("side4video/b16-ssv2", "--fits", "2GiB", "--batch", 3), "drop --batch"),
    ],
)
def test_bad_input(vidtune, args, says):
    code, _, err = vidtune("memory", *args)
    assert code == 2
    assert says in one_line(err)
