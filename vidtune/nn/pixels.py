"""Frames to the pixels that CLIP sees: resized, cropped in the centre, normalised.

Shapes: T frames, H x W pixels of a decoded frame, S pixels of the model's side.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

MEAN = (0.48145466, 0.4578275, 0.40821073)  # openai/CLIP, of RGB in 0..1
STD = (0.26862954, 0.26130258, 0.27577711)
Size = tuple[int, int]  # height, width


def resize(
    frames: NDArray[np.uint8],
    side: int,
    crop: int = 0,
    crops: int = 1,
    size: tuple[int, int] | int | None = None,
) -> Tensor:
    """(T, H, W, 3) -> uint8 (T, 3, side, side): antialiased bicubic, then the centre.

    Before the crop frames have `size` (height, width), or `size` or `side` as their short side. Of
    three crops the first is the start of the longer side and the last its end.
    """
    return centre(scaled(planes(frames), side, size), side, crop, crops)


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


def scaled(x: Tensor, side: int, size: Size | int | None) -> Tensor:
    """To `size`, or to the short side `size`, or to the short side `side`: antialiased bicubic."""
    if not isinstance(size, tuple):
        size = short_side(*x.shape[-2:], size or side)
    if size == tuple(x.shape[-2:]):
        return x
    return F.interpolate(x, size=size, mode="bicubic", antialias=True)


def centre(x: Tensor, side: int, crop: int = 0, crops: int = 1) -> Tensor:
    """(T, 3, S, S); of three crops the first is the start of the longer side and the last its end."""
    over = x.shape[-2] - side, x.shape[-1] - side
    at = [m // 2 for m in over]
    if crops == 3:
        longer = int(over[1] > over[0])
        at[longer] = over[longer] * crop // 2
    top, left = at
    return x[..., top : top + side, left : left + side].contiguous()
