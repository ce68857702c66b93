"""Tests that the checks catch slips: each breaks one part of the code and sees a check fail."""

import pytest
import torch
from helpers.sizes import B16, B32, retrieval, short, side4video
from helpers.zoo import MODELS, net_of, videos
from torch import nn
from torch.utils import flop_counter

from vidtune.cost import formulas, fvcore_counter
from vidtune.cost.audit import audit
from vidtune.cost.count import cost
from vidtune.nn import clip, closed_form
from vidtune.nn.task import VideoModel
from vidtune.spec import Model, UserError

aten = torch.ops.aten
TEMPME = short(next(m for m in MODELS if m.method == "tempme"))
SIDE = next(m for m in MODELS if m.method == "side4video")


def printed(model: Model, gflops: float, tuned_m: float) -> bool:
    """Tells whether a model's counts are the published ones, as `vidtune verify` does."""
    counts = cost(model)
    near = abs(counts["gmacs"] * counts["views"] - gflops) <= 0.005 * gflops
    return near and abs(counts["params_tuned"] / 1e6 - tuned_m) < 1


def unread_by_gradients(net: VideoModel) -> bool:
    """Tells whether what `prepare` returns carries no gradient, whatever is tuned."""
    net.requires_grad_(True)
    return not any(x.requires_grad for x in net.prepare(videos()))


def test_nothing_is_broken():
    assert audit(TEMPME).agrees and audit(SIDE).agrees
    assert printed(side4video(B16, 6, 192), 445, 4)
    assert printed(retrieval(B32, "tempme"), 34.8, 0.5)
    assert unread_by_gradients(net_of(SIDE))


# --- a handle ---


@pytest.mark.parametrize("op", ["mm", "addmm", "bmm", "convolution"])
def test_a_formula_that_says_zero(monkeypatch, op):
    packet = getattr(aten, op).default
    monkeypatch.setitem(formulas.PRODUCTS, packet, lambda *_, **__: 0)
    assert not audit(TEMPME).agrees


@pytest.mark.parametrize("op", ["mm", "addmm", "bmm", "convolution"])
def test_a_formula_that_is_gone(monkeypatch, op):
    packet = getattr(aten, op).default
    monkeypatch.delitem(formulas.PRODUCTS, packet)
    with pytest.raises(UserError, match=f"{op}.*no counting formula"):
        audit(TEMPME)


def test_fused_attention_without_a_formula_for_fvcore(monkeypatch):
    monkeypatch.delitem(fvcore_counter.HANDLES, "scaled_dot_product_attention")
    result = audit(SIDE)
    assert not result.agrees
    assert result.unseen["fvcore"]["scaled_dot_product_attention"] == 9


def test_a_product_that_torch_does_not_see(monkeypatch):
    monkeypatch.delitem(flop_counter.flop_registry, aten.bmm)
    result = audit(SIDE)
    assert not result.agrees and result.unseen["torch"]["bmm"]


# --- a width ---


class HalfMLP(clip.Block):
    """A transformer block whose MLP is twice as wide as its tokens, not four times."""

    def __init__(self, width: int, gelu: type[nn.Module] = clip.QuickGELU, eps: float = 1e-5):
        super().__init__(width, gelu, eps)
        self.mlp.c_fc = nn.Linear(width, 2 * width)
        self.mlp.c_proj = nn.Linear(2 * width, width)


def test_a_hidden_width_that_is_halved(monkeypatch):
    monkeypatch.setattr(clip, "Block", HalfMLP)
    assert not audit(SIDE).agrees
    assert not printed(side4video(B16, 6, 192), 445, 4)


def test_an_option_that_is_halved():
    assert not printed(side4video(B16, 6, 96), 445, 4)


def test_a_closed_form_with_half_a_width(monkeypatch):
    plain = closed_form.mlp
    monkeypatch.setattr(closed_form, "mlp", lambda n, width, hidden: plain(n, width, hidden // 2))
    assert not audit(TEMPME).agrees


# --- a no_grad ---


@pytest.mark.parametrize(
    "m", [m for m in MODELS if net_of(m).cacheable], ids=lambda m: f"{m.method}-{m.task}"
)
def test_a_frozen_part_that_runs_with_gradients(monkeypatch, m):
    net = net_of(m)
    assert unread_by_gradients(net)
    kind = type(net)
    for name in ("prepare", "_trunk"):
        if hasattr(getattr(kind, name, None), "__wrapped__"):  # what torch.no_grad() decorates
            monkeypatch.setattr(kind, name, getattr(kind, name).__wrapped__)
    if m.method == "clip4clip":  # which enters it in the body
        monkeypatch.setattr(torch, "no_grad", torch.enable_grad)
    assert not unread_by_gradients(net)


def test_a_trunk_that_is_tuned_after_all(monkeypatch):
    monkeypatch.setattr(clip.CLIP, "requires_grad_", lambda self, tuned=True: self)
    assert not printed(side4video(B16, 6, 192), 445, 4)
    assert not printed(retrieval(B32, "tempme"), 34.8, 0.5)
