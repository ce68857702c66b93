"""Mixup (Zhang et al., ICLR 2018, arXiv:1710.09412) and CutMix (Yun et al., ICCV 2019,
arXiv:1905.04899) of clips, in timm's form for whole batches: each clip of a group is mixed with the
one that stands as far from the group's end, by one share for all of them; labels follow.

Checked against dataset/utils/mixup.py in alibaba-mmai-research/DiST at 4b3a09b, where a group is
what one GPU has.

Shapes: B clips in G groups, T frames, S pixels of the side, C classes.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtune.spec.recipe import Augment

MIXING = 0x6D6978  # tells these draws from others that follow from the same keys


class Draw(NamedTuple):
    """How the clips of a group are mixed."""

    share: float  # of a clip itself; the rest is its partner's
    # the rows and columns that the partner fills; None: it shines through
    box: tuple[slice, slice] | None


def draw(how: Augment, side: int, key: int) -> Draw:
    """Draw by a group's `key`: a share from the Beta distribution; for cutmix a square that covers the
    partner's share, cut off at the frame's edge, whose area decides the share in the end."""
    rng = np.random.default_rng([MIXING, key % 2**64])
    cuts = how.cutmix and (not how.mixup or rng.random() < how.mix_switch)
    alpha = how.cutmix if cuts else how.mixup
    assert alpha
    share = float(rng.beta(alpha, alpha))
    if not cuts:
        return Draw(share, None)
    cut = int(side * (1 - share) ** 0.5)
    rows, columns = (
        slice(max(0, at - cut // 2), min(side, at + cut // 2))
        for at in rng.integers(side, size=2).tolist()
    )
    area = (rows.stop - rows.start) * (columns.stop - columns.start)
    return Draw(1 - area / side**2, (rows, columns))


def mix_clips(
    clips: Tensor, labels: Tensor, keys: Sequence[int], how: Augment, classes: int
) -> tuple[Tensor, Tensor]:
    """Normalised clips (B, T, 3, S, S), labels (B,) and the keys of their G groups -> mixed clips and
    the shares of classes (B, C)."""
    groups = len(keys)
    targets = F.one_hot(labels, classes).float()
    mixed, shares = clips.clone(), targets.clone()
    for part, now, target, share, key in zip(
        clips.chunk(groups),
        mixed.chunk(groups),
        targets.chunk(groups),
        shares.chunk(groups),
        keys,
        strict=True,
    ):
        own, box = draw(how, clips.shape[-1], key)
        if box:
            now[..., box[0], box[1]] = part.flip(0)[..., box[0], box[1]]
        else:
            torch.lerp(part.flip(0), part, own, out=now)
        torch.lerp(target.flip(0), target, own, out=share)
    return mixed, shares
