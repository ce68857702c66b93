"""What CUDA computes in another way than a CPU, to add in one order, on a CPU."""

import pytest
import torch
from torch.nn import functional as F

from vidtune.nn import attention, merging


@pytest.fixture
def modes(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The modes that torch is brought into."""
    found, bring = [], torch.set_deterministic_debug_mode

    def noted(mode: int | str) -> None:
        found.append(mode)
        bring(mode)

    monkeypatch.setattr(torch, "set_deterministic_debug_mode", noted)
    return found


@pytest.mark.parametrize("masked", [False, True])
def test_attention_is_the_same_and_leaves_the_mode_of_torch(masked, modes):
    torch.manual_seed(0)
    inputs = [x.requires_grad_() for x in torch.randn(3, 2, 3, 40, 8).unbind()]
    given = {"attn_mask": torch.randn(2, 1, 1, 40) if masked else None}
    asked = attention._repeatable(*inputs, **given)
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        ours = torch.autograd.grad(asked.square().sum(), inputs)
        assert torch.get_deterministic_debug_mode() == 1
    finally:
        torch.use_deterministic_algorithms(False)
    assert modes == ["error", 1] and torch.utils.deterministic.fill_uninitialized_memory
    out = F.scaled_dot_product_attention(*inputs, **given)
    assert torch.equal(asked, out) and torch.backends.cuda.cudnn_sdp_enabled()
    theirs = torch.autograd.grad(out.square().sum(), inputs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_backward_that_fails_is_left_behind(modes, monkeypatch):
    monkeypatch.setattr(attention, "leave_deterministic", lambda: None)
    x = torch.randn(1, 1, 4, 8, requires_grad=True)
    attention._repeatable(x, x, x).sum().backward()  # as if its kernel had raised
    assert torch.get_deterministic_debug_mode() == 2
    monkeypatch.undo()
    attention.leave_deterministic()
    attention.leave_deterministic()
    assert torch.get_deterministic_debug_mode() == 0


def test_tokens_merged_by_a_product_are_those_merged_by_a_sum():
    torch.manual_seed(0)
    dst, merged = torch.randn(3, 9, 5).double(), torch.randn(3, 20, 5).double()
    target, inputs = torch.randint(0, 9, (3, 20)), (dst.requires_grad_(), merged.requires_grad_())
    found = []
    for into in (merging._into_targets, merging._into_targets_on_cuda):
        out = into(*inputs, target)
        found.append((out.detach(), *torch.autograd.grad(out.square().sum(), inputs)))
    torch.testing.assert_close(*found)
