"""The tolerances of the goldens: rounding passes, faults do not."""

import pytest
import torch
from helpers.golden import Golden, check_gradients
from torch import Tensor

VANISHING, ROUNDING = 3e-7, 9e-6  # a bias before a BatchNorm: the reference's gradient, and ours


def golden(bias: float) -> Golden:
    """A layer whose weight's gradient has norm 10, and others of norm 0.1."""
    others = {f"grad/{i}.weight": torch.tensor([0.1]) for i in range(5)}
    layer = {"grad/fc.weight": torch.tensor([10.0]), "grad/fc.bias": torch.tensor([bias])}
    return Golden({"zero_grad": []}, others | layer)


def ours(reference: Golden, **off: float) -> dict[str, Tensor]:
    gradients = {k: v.clone() for k, v in reference.under("grad/").items()}
    for name, error in off.items():
        gradients[name.replace("_", ".")] += error
    return gradients


def test_rounding_of_a_vanishing_bias_is_measured_by_its_layer():
    reference = golden(VANISHING)
    check_gradients(reference, ours(reference, fc_bias=ROUNDING))
    with pytest.raises(AssertionError, match=r"fc\.bias: gradient off by"):
        check_gradients(reference, ours(reference, fc_bias=2e-4))


@pytest.mark.parametrize(
    "reference, off",
    [
        (golden(1e-3), {"fc_bias": ROUNDING}),  # does not vanish
        (golden(VANISHING), {"0_weight": 2e-5}),  # another layer
        (golden(VANISHING), {"fc_weight": 2e-3}),
    ],
)
def test_no_other_bound_is_looser(reference, off):
    with pytest.raises(AssertionError, match="gradient off by"):
        check_gradients(reference, ours(reference, **off))
