"""Frames to the pixels that CLIP sees: resized, cropped in the centre, normalised.

Shapes: T frames, H x W pixels of a decoded frame, S pixels of the model's side.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)  # openai/CLIP, of RGB in 0..1
STD = (0.26862954, 0.26130258, 0.27577711)
Size = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Resizing:
    """How frames become as large as a crop needs: to `size` (height, width), or to `size` or the
    crop's side as their short side. `along`: of three crops, the side that they lie along. `odd`: where a
    centre crop begins that leaves an odd number of pixels, at half of them rounded as torchvision's does
    (half to even), or rounded down."""

    size: Size | int | None = None
    filter: str = "bicubic"
    antialias: bool = True
    along: str = "longer"
    odd: str = "round"


AS_CLIP = Resizing()


def resize(
    frames: NDArray[np.uint8], side: int, crop: int = 0, crops: int = 1, how: Resizing = AS_CLIP
) -> Tensor:
    """(T, H, W, 3) -> uint8 (T, 3, side, side): resized, then the centre or one of three crops."""
    return centre(scaled(planes(frames), side, how), side, crop, crops, how)


def planes(frames: NDArray[np.uint8]) -> Tensor:
    """(T, H, W, 3) -> (T, 3, H, W), whose memory stays as it is."""
    return torch.from_numpy(frames).permute(0, 3, 1, 2)


def normalise(video: Tensor) -> Tensor:
    """uint8 (..., 3, S, S) -> float of CLIP's mean and deviation, on the device of `video`."""
    mean = torch.tensor(MEAN, device=video.device).view(3, 1, 1)
    std = torch.tensor(STD, device=video.device).view(3, 1, 1)
    return (video.float() / 255 - mean) / std


def short_side(height: int, width: int, side: int) -> Size:
    """The size with `side` as its short side; the longer one is rounded down."""
    short = min(height, width)
    return max(side, height * side // short), max(side, width * side // short)


def scaled(x: Tensor, side: int, how: Resizing = AS_CLIP) -> Tensor:
    """(T, 3, H, W) -> (T, 3, *size), as `how` says; `side` is the crop's."""
    size = how.size
    if not isinstance(size, tuple):
        size = short_side(*x.shape[-2:], size or side)
    if size == tuple(x.shape[-2:]):
        return x
    return F.interpolate(x, size=size, mode=how.filter, antialias=how.antialias)


def centre(x: Tensor, side: int, crop: int = 0, crops: int = 1, how: Resizing = AS_CLIP) -> Tensor:
    """(T, 3, S, S); of three crops the first is the start of the longer side and the last its end.

    Along the width they are Side4Video's, whose two steps are of whole even pixels.
    """
    over = x.shape[-2] - side, x.shape[-1] - side
    at = [round(m / 2) if how.odd == "round" else m // 2 for m in over]
    if crops == 3 and how.along == "width":
        at = [over[0] // 4 * 2, over[1] // 4 * 2 * crop]
    elif crops == 3:
        longer = int(over[1] > over[0])
        at[longer] = over[longer] * crop // 2
    top, left = at
    return x[..., top : top + side, left : left + side].contiguous()
