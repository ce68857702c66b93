"""Mixup (Zhang et al., ICLR 2018, arXiv:1710.09412) and CutMix (Yun et al., ICCV 2019,
arXiv:1905.04899) of clips, in timm's form for whole batches: each clip is mixed with the one that
stands as far from the end, by one share for all of them; labels follow.

Checked against dataset/utils/mixup.py in alibaba-mmai-research/DiST at 4b3a09b, where the clips are
those of one GPU.

Shapes: B clips, T frames, S pixels of the side, C classes.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vidtune.spec.recipe import Augment

MIXING = 0x6D6978  # tells these draws from others that follow from the same keys


class Draw(NamedTuple):
    """How clips are mixed."""

    share: float  # of a clip itself; the rest is its partner's
    # the rows and columns that the partner fills; None: it shines through
    box: tuple[slice, slice] | None


def draw(how: Augment, side: int, key: int) -> Draw:
    """Draw by `key`: a share from the Beta distribution; for cutmix a square that covers the
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
    clips: Tensor, labels: Tensor, key: int, how: Augment, classes: int
) -> tuple[Tensor, Tensor]:
    """Normalised clips (B, T, 3, S, S) and labels (B,) -> mixed clips and the shares of classes (B, C)."""
    target = F.one_hot(labels, classes).float()
    own, box = draw(how, clips.shape[-1], key)
    if box:
        mixed = clips.clone()
        mixed[..., box[0], box[1]] = clips.flip(0)[..., box[0], box[1]]
    else:
        mixed = torch.lerp(clips.flip(0), clips, own)
    return mixed, torch.lerp(target.flip(0), target, own)
