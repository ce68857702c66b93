"""Mixup and cutmix: what is drawn, and what clips and labels become."""

import numpy as np
import pytest
import torch
from torch import Tensor

from vidtune.nn.mixing import draw, mix_clips
from vidtune.spec.recipe import Augment

MIXUP, CUTMIX = Augment(mixup=0.8), Augment(cutmix=1.0)
BOTH = Augment(mixup=0.8, cutmix=1.0)
KEYS = range(-2000, 2000)  # keys are hashes, of either sign


def clips(n: int = 8, side: int = 20) -> Tensor:
    """Each of one value, its own."""
    return torch.arange(n).float().view(n, 1, 1, 1, 1).expand(n, 2, 3, side, side)


def test_shares_are_drawn_from_beta_distributions():
    shares = np.array([draw(MIXUP, 224, key).share for key in KEYS])
    assert all(draw(MIXUP, 224, key).box is None for key in KEYS)
    assert shares.mean() == pytest.approx(0.5, abs=0.02)
    assert shares.var() == pytest.approx(1 / (4 * (2 * 0.8 + 1)), abs=0.005)
    both = [draw(BOTH, 224, key) for key in KEYS]
    assert np.mean([d.box is not None for d in both]) == pytest.approx(0.5, abs=0.03)
    often = Augment(mixup=0.8, cutmix=1.0, mix_switch=0.9)
    cut = np.mean([draw(often, 224, key).box is not None for key in KEYS])
    assert cut == pytest.approx(0.9, abs=0.02)
    assert draw(BOTH, 224, 7) == draw(BOTH, 224, 7) != draw(BOTH, 224, 8)


def test_a_square_is_cut_that_lies_anywhere_and_its_area_is_the_partners_share():
    draws = [draw(CUTMIX, 224, key) for key in KEYS]
    rows, columns = ([(d.box[k].start, d.box[k].stop) for d in draws] for k in (0, 1))
    for d, (top, bottom), (left, right) in zip(draws, rows, columns, strict=True):
        assert 0 <= top <= bottom <= 224 and 0 <= left <= right <= 224
        assert d.share == pytest.approx(1 - (bottom - top) * (right - left) / 224**2)
    inner = [
        (r[1] - r[0], c[1] - c[0])
        for r, c in zip(rows, columns, strict=True)
        if min(r + c) > 0 and max(r + c) < 224
    ]
    assert all(h == w for h, w in inner) and len(inner) > 500
    # a square of share 1 - b about a uniform place, b uniform, keeps half of its area and more
    mean = np.mean([1 - d.share for d in draws])
    x = (np.arange(4000) + 0.5) / 4000
    cut = np.sqrt(x)[:, None]
    inside = np.minimum(x + cut / 2, 1) - np.maximum(x - cut / 2, 0)
    assert mean == pytest.approx((inside.mean(1) ** 2).mean(), abs=0.02)


@pytest.mark.parametrize("key", [11, 12])
@pytest.mark.parametrize("how", [MIXUP, CUTMIX, BOTH])
def test_clips_are_mixed_with_those_from_the_end(how: Augment, key: int):
    x, labels = clips(4), torch.tensor([0, 1, 2, 0])
    mixed, shares = mix_clips(x, labels, key, how, 3)
    assert torch.equal(x, clips(4))
    own, box = draw(how, 20, key)
    for i, partner in enumerate(reversed(range(4))):
        if box is None:
            expected = torch.full((2, 3, 20, 20), own * i + (1 - own) * partner)
        else:
            expected = torch.full((2, 3, 20, 20), float(i))
            expected[..., box[0], box[1]] = partner
        assert (mixed[i] - expected).abs().max() < 1e-5
        assert mixed[i].mean().item() == pytest.approx(own * i + (1 - own) * partner, abs=1e-4)
        target = torch.zeros(3)
        target[labels[i]] += own
        target[labels[partner]] += 1 - own
        assert (shares[i] - target).abs().max() < 1e-6


def test_soft_targets_of_smoothed_labels_have_the_loss_of_both_labels():
    """Cross-entropy is linear in its target: the smoothed one of either label, by its share."""
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 6), torch.tensor([1, 5, 0, 2])
    _, shares = mix_clips(clips(4), labels, 9, MIXUP, 6)
    own = draw(MIXUP, 20, 9).share
    loss = torch.nn.functional.cross_entropy
    one, other = (loss(logits, y, label_smoothing=0.1) for y in (labels, labels.flip(0)))
    mixed = loss(logits, shares, label_smoothing=0.1)
    assert mixed.item() == pytest.approx((own * one + (1 - own) * other).item(), rel=1e-5)
