"""RandAugment on clips (Cubuk et al., CVPRW 2020, arXiv:1909.13719), in timm's form.

`rand-m7-n4-mstd0.5-inc1`: four operations are drawn, with replacement, out of 15 whose strength
grows with the magnitude; each is applied every other time, at a magnitude from N(7, 0.5) within
0..10. What is drawn holds for all frames of a clip; what an operation measures (histogram, mean) is
each frame's own.

Checked against timm's form for videos, datasets/rand_augment.py in HJYao00/Side4Video at 5d72352
(the same in TempMe at e624930 and ST-Adapter at b914b38), whose operations are Pillow's.
Modifications: tensors in place of images, NumPy's generator in place of Python's. Results are
Pillow's, but that bicubic values next to a whole number may fall on its other side.

Shapes: T frames; x is uint8 (T, 3, H, W).
"""

import math
import re
from collections.abc import Callable

import torch
from numpy.random import Generator
from torch import Tensor

from vidtune.spec.augment import RANDAUGMENT

FILL = 128  # where a moved frame leaves a hole
MOST = 10.0  # magnitude
AT_ONCE = 1 << 22  # pixels that are moved at once

# --- tones ---


def _looked_up(x: Tensor, table: Tensor) -> Tensor:
    """`table` is (256,), or (T, 3, 256) with one for each plane."""
    if table.dim() == 1:
        return table.to(torch.uint8)[x.long()]
    planes = table.to(torch.uint8).flatten(0, 1)  # (3T, 256)
    return planes.gather(1, x.flatten(0, 1).flatten(1).long()).view_as(x)


def auto_contrast(x: Tensor) -> Tensor:
    """Each plane stretched to 0..255."""
    flat = x.flatten(2)
    low, high = flat.amin(-1, keepdim=True).double(), flat.amax(-1, keepdim=True).double()
    scale = torch.full_like(low, 255) / (high - low).clamp(min=1)  # 255 / x is less exact in torch
    table = (torch.arange(256) * scale - low * scale).clamp(0, 255).trunc()  # (T, 3, 256)
    return _looked_up(x, torch.where(high > low, table, torch.arange(256.0)))


def _histograms(x: Tensor) -> Tensor:
    """(T, 3, 256)"""
    planes = x.flatten(0, 1).flatten(1)  # (3T, HW)
    counts = [torch.bincount(p, minlength=256) for p in planes]
    return torch.stack(counts).view(*x.shape[:2], 256)


def equalize(x: Tensor) -> Tensor:
    """Each plane with a flat histogram, as far as its levels allow."""
    counts = _histograms(x)
    last = counts.gather(2, x.flatten(2).amax(-1, keepdim=True).long())  # of the highest level
    step = (counts.sum(-1, keepdim=True) - last) // 255
    before = counts.cumsum(-1) - counts
    table = ((step // 2 + before) // step.clamp(min=1)).clamp(max=255)
    return _looked_up(x, torch.where(step > 0, table, torch.arange(256)))


def invert(x: Tensor) -> Tensor:
    return 255 - x


def posterize(x: Tensor, bits: int) -> Tensor:
    """The highest bits are kept."""
    return x & (0xFF << (8 - bits) & 0xFF)


def solarize(x: Tensor, threshold: int) -> Tensor:
    levels = torch.arange(256)
    return _looked_up(x, torch.where(levels < threshold, levels, 255 - levels))


def solarize_add(x: Tensor, more: int) -> Tensor:
    levels = torch.arange(256)
    return _looked_up(x, torch.where(levels < 128, (levels + more).clamp(max=255), levels))


def grey(x: Tensor) -> Tensor:
    """(T, 3, H, W) -> (T, 1, H, W): luma of BT.601 in Pillow's fixed point."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32).view(3, 1, 1)
    return ((x.int() * weights).sum(1, keepdim=True) + 0x8000 >> 16).to(torch.uint8)


def _blended(plain: Tensor, x: Tensor, factor: float) -> Tensor:
    """From `plain` at 0 to `x` at 1 and on, cut off to 0..255."""
    start = plain.float()
    return (start + (x.float() - start) * factor).clamp(0, 255).to(torch.uint8)


def colour(x: Tensor, factor: float) -> Tensor:
    return _blended(grey(x), x, factor)


def contrast(x: Tensor, factor: float) -> Tensor:
    mean = (grey(x).double().mean((1, 2, 3), keepdim=True) + 0.5).trunc()
    return _blended(mean, x, factor)


def brightness(x: Tensor, factor: float) -> Tensor:
    return _blended(torch.zeros(()), x, factor)


def sharpness(x: Tensor, factor: float) -> Tensor:
    """Away from, or towards, a frame whose inner pixels are smoothed."""
    smooth = x.clone()
    if min(x.shape[-2:]) > 2:
        y = x.short()
        rows = y[..., :-2, :] + y[..., 1:-1, :] + y[..., 2:, :]
        total = rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:] + 4 * y[..., 1:-1, 1:-1]
        smooth[..., 1:-1, 1:-1] = (total / 13 + 0.5).to(torch.uint8)
    return _blended(smooth, x, factor)


# --- places ---


def _weights(d: Tensor) -> list[Tensor]:
    """Of the four pixels around, at `d` behind the second: cubic convolution with a = -1."""
    d2, d3 = d * d, d * d * d
    return [-d + 2 * d2 - d3, 1 - 2 * d2 + d3, d + d2 - d3, d3 - d2]


def affine(x: Tensor, matrix: tuple[float, ...]) -> Tensor:
    """What lies at (a x + b y + c, d x + e y + f) comes to (x, y), of pixels' centres."""
    a, b, c, d, e, f = matrix
    height, width = x.shape[-2:]
    down = torch.arange(height, dtype=torch.double)[:, None] + 0.5
    right = torch.arange(width, dtype=torch.double) + 0.5
    across, along = a * right + b * down + c, d * right + e * down + f  # (H, W)
    inside = (across >= 0) & (across < width) & (along >= 0) & (along < height)
    across, along = across[inside] - 0.5, along[inside] - 0.5  # (P,)
    left, top = across.floor(), along.floor()
    columns = _taps(left, across - left, width)
    rows = _taps(top, along - top, height)
    at = [(j * width + i, wj * wi) for j, wj in rows for i, wi in columns]
    parts = x.split(max(1, AT_ONCE // (height * width)))
    return torch.cat([_moved(part, inside.flatten(), at) for part in parts])


def _taps(first: Tensor, behind: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    """(index, weight) of the pixels that count along one axis: a single one where none is between."""
    taps = [(first + k - 1, w) for k, w in enumerate(_weights(behind))]
    return [(i.long().clamp(0, size - 1), w.float()) for i, w in taps if w.any()]


def _moved(x: Tensor, inside: Tensor, at: list[tuple[Tensor, Tensor]]) -> Tensor:
    pixels = x.flatten(0, 1).flatten(1).T.contiguous()  # (HW, 3T)
    total = torch.zeros(len(at[0][0]), pixels.shape[1]) + 1e-3  # whole numbers stay above
    for index, weight in at:
        total.addcmul_(pixels[index].float(), weight[:, None])
    out = torch.full_like(pixels, FILL)
    out[inside] = total.clamp(0, 255).to(torch.uint8)
    return out.T.reshape(x.shape)


def rotate(x: Tensor, degrees: float) -> Tensor:
    """To the left, about the centre."""
    turn = -math.radians(degrees % 360)
    cos, sin = round(math.cos(turn), 15), round(math.sin(turn), 15)
    h, w = x.shape[-2] / 2, x.shape[-1] / 2
    return affine(x, (cos, sin, w - cos * w - sin * h, -sin, cos, h + sin * w - cos * h))


# --- the fifteen: x, strength in 0..1, sign ---

OPERATIONS: dict[str, Callable[[Tensor, float, int], Tensor]] = {
    "auto contrast": lambda x, m, s: auto_contrast(x),
    "equalize": lambda x, m, s: equalize(x),
    "invert": lambda x, m, s: invert(x),
    "rotate": lambda x, m, s: rotate(x, s * m * 30),
    "posterize": lambda x, m, s: posterize(x, 4 - int(m * 4)),
    "solarize": lambda x, m, s: solarize(x, 256 - int(m * 256)),
    "solarize add": lambda x, m, s: solarize_add(x, int(m * 110)),
    "colour": lambda x, m, s: colour(x, 1 + s * m * 0.9),
    "contrast": lambda x, m, s: contrast(x, 1 + s * m * 0.9),
    "brightness": lambda x, m, s: brightness(x, 1 + s * m * 0.9),
    "sharpness": lambda x, m, s: sharpness(x, 1 + s * m * 0.9),
    "shear x": lambda x, m, s: affine(x, (1, s * m * 0.3, 0, 0, 1, 0)),
    "shear y": lambda x, m, s: affine(x, (1, 0, 0, s * m * 0.3, 1, 0)),
    "translate x": lambda x, m, s: affine(x, (1, 0, s * m * 0.45 * x.shape[-1], 0, 1, 0)),
    "translate y": lambda x, m, s: affine(x, (1, 0, 0, 0, 1, s * m * 0.45 * x.shape[-2])),
}


def drawn(text: str, rng: Generator) -> list[tuple[str, float, int]]:
    """(operation, strength in 0..1, sign) of those that are applied, in order."""
    found = re.fullmatch(RANDAUGMENT, text)
    assert found, text
    magnitude, count, spread = float(found[1]), int(found[2]), float(found[3] or 0)
    names = list(OPERATIONS)
    out = []
    for k in rng.integers(len(names), size=count):
        if rng.random() < 0.5:
            strength = min(max(rng.normal(magnitude, spread), 0.0), MOST) / MOST
            out.append((names[k], strength, 1 if rng.random() < 0.5 else -1))
    return out


def rand_augment(x: Tensor, text: str, rng: Generator) -> Tensor:
    """uint8 (T, 3, H, W) -> the same shape."""
    for name, strength, sign in drawn(text, rng):
        x = OPERATIONS[name](x, strength, sign)
    return x
