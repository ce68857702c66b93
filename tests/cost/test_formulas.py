"""Every rule of what an operator costs equals a count by hand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune.cost.count import Counter
from vidtune.cost.formulas import Tally
from vidtune.spec import UserError


def count(call: Callable[..., object], *shapes: tuple[int, ...], device: str = "meta") -> Tally:
    with torch.no_grad(), Counter() as counter:
        call(*(torch.ones(shape, device=device) for shape in shapes))
    return counter.tally


def layer(module: nn.Module, *shape: int) -> Tally:
    return count(module.to("meta").eval(), shape)


def test_products():
    assert layer(nn.Linear(6, 5, bias=False), 3, 6) == Tally(products=3 * 6 * 5)
    plain = layer(nn.Linear(6, 5), 2, 3, 6)
    assert plain == Tally(products=2 * 3 * 6 * 5, elements=2 * 3 * 5)  # and a bias
    conv = nn.Conv2d(3, 8, 4, stride=4, bias=False)
    assert layer(conv, 2, 3, 16, 16) == Tally(products=2 * 16 * 8 * 3 * 16)
    grouped = nn.Conv1d(6, 6, 3, padding=1, groups=6)
    assert layer(grouped, 2, 6, 7) == Tally(products=2 * 7 * 6 * 3, elements=2 * 7 * 6)
    assert count(torch.bmm, (4, 2, 3), (4, 3, 5)) == Tally(products=4 * 2 * 3 * 5)


def test_norms_as_fvcore_has_them_and_in_full():
    assert layer(nn.LayerNorm(6), 4, 6) == Tally(norms=5 * 24, elements=7 * 24)
    plain = nn.LayerNorm(6, elementwise_affine=False)
    assert layer(plain, 4, 6) == Tally(norms=4 * 24, elements=5 * 24)
    assert layer(nn.BatchNorm1d(6), 4, 6) == Tally(norms=2 * 24, elements=2 * 24)
    assert layer(nn.BatchNorm1d(6, affine=False), 4, 6) == Tally(norms=24, elements=24)


@pytest.mark.parametrize(
    "call, elements",
    [
        (lambda x: x + x, 24),
        (torch.exp, 24),
        (torch.sigmoid, 4 * 24),
        (F.gelu, 5 * 24),
        (lambda x: x.softmax(-1), 5 * 24),
        (lambda x: x.mean(0), 24),
        (lambda x: x.max(dim=1), 24),
        (lambda x: x.norm(dim=1), 2 * 24),
        (lambda x: x.sort(dim=-1), 3 * 24),  # 6 in a row: 3 halvings
        (lambda x: x.transpose(0, 1).reshape(8, 3).clone(), 0),
        (lambda x: torch.cat([x, x])[1:], 0),
        (lambda x: x.to(torch.float64), 0),
    ],
)
def test_operations_on_elements(call, elements):
    assert count(call, (4, 6)) == Tally(elements=elements)


def test_what_is_scattered_is_added():
    def call(x: Tensor, source: Tensor) -> None:
        x.scatter_add(0, torch.zeros(source.shape, dtype=torch.long, device="meta"), source)

    assert count(call, (4, 6), (2, 6)) == Tally(elements=12)


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_attention_counts_both_products(device):
    """A CPU fuses attention, the meta device runs it in steps."""
    shapes = (2, 3, 5, 4), (2, 3, 7, 4)
    call = F.scaled_dot_product_attention
    tally = count(lambda q, k: call(q, k, k), *shapes, device=device)
    assert tally.products == 2 * (2 * 3 * 5 * 7 * 4)
    assert tally.elements >= 5 * 2 * 3 * 5 * 7  # its softmax


def test_an_operator_without_formula_is_an_error():
    x = torch.empty(2, 3, 4, device="meta")
    with pytest.raises(UserError, match="no counting formula"), Counter():
        torch.baddbmm(torch.empty(2, 3, 3, device="meta"), x, x.transpose(1, 2))


def test_conventions():
    tally = Tally(products=100, norms=7, elements=30)
    assert tally.macs() == {"paper": 107, "macs": 100, "full": 115}
