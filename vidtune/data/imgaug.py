"""RandAugment on clips (Cubuk et al., CVPRW 2020, arXiv:1909.13719), in imgaug's form.

`m7-n4` mirrors half of the clips, cuts up to 7 of 224 pixels' share off each side and resizes back,
then applies four of the 18 operations below, without replacement, in random order. Their strength
is 7 of 30; signs and places are drawn. The draw holds for all frames of a clip. Labels stay: with
classes that a mirror swaps, half of the clips of those are trained under the other's name.

Checked against imgaug 0.4.0 (github.com/aleju/imgaug at 14b85e2, imgaug/augmenters/collections.py), as
mmaction2 calls it. Its operations are Pillow's: those of `m7` give the same pixels here.
Modification: NumPy's random generator in place of imgaug's.

Shapes: T frames, S pixels of the side; x is uint8 (T, 3, S, S).
"""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor
from torch.nn import functional as F

from vidtune.spec.recipe import IMGAUG

FILL = (128, 128, 128)  # colour of the holes that a moved frame leaves, and of the one cut out
MAX_MAGNITUDE = 30
CROPPED = 224  # pixels of which a magnitude counts as cut off
SHEAR = math.degrees(0.3)
CUTOUT = 20 / 32  # share of the side, at full strength


class Step(NamedTuple):
    """How one operation is applied."""

    strength: float  # 0..1
    sign: int  # -1, 1
    at: tuple[float, float]  # x, y: shares of the side


def _move(image: Image.Image, *matrix: float) -> Image.Image:
    """Show at (x, y) what lies at (a x + b y + c, d x + e y + f) for matrix = (a, b, c, d, e, f)."""
    affine, nearest = Image.Transform.AFFINE, Image.Resampling.NEAREST
    return image.transform(image.size, affine, matrix, nearest, fillcolor=FILL)


def _rotate(image: Image.Image, degrees: float) -> Image.Image:
    x, y = image.width / 2, image.height / 2
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _move(image, cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)


def _shear(s: Step) -> float:
    """imgaug takes the hyperbolic tangent of the angle."""
    return s.sign * math.tanh(math.radians(s.strength * SHEAR))


def _enhanced(kind: Callable, image: Image.Image, s: Step) -> Image.Image:
    return kind(image).enhance(1 + s.sign * s.strength * 0.9)


def _cut_out(image: Image.Image, s: Step) -> Image.Image:
    """Fill a square, whose centre lies anywhere in the frame."""
    half = s.strength * CUTOUT / 2
    sides = [(p - half, p + half) for p in s.at]
    (left, right), (top, bottom) = (
        [min(max(int(share * n), 0), n) for share in pair]
        for pair, n in zip(sides, image.size, strict=True)
    )
    image = image.copy()
    image.paste(FILL, (left, top, right, bottom))
    return image


# name -> function of image and step; draws depend on the order of this table
OPERATIONS: dict[str, Callable[[Image.Image, Step], Image.Image]] = {
    "identity": lambda i, s: i,
    "auto contrast": lambda i, s: ImageOps.autocontrast(i),
    "equalize": lambda i, s: ImageOps.equalize(i),
    "invert": lambda i, s: ImageOps.invert(i),
    "rotate": lambda i, s: _rotate(i, s.sign * s.strength * 30),
    "posterize": lambda i, s: ImageOps.posterize(i, 8 - int(s.strength * 6)),
    "solarize": lambda i, s: ImageOps.solarize(i, 256 - int(s.strength * 256)),
    "colour": lambda i, s: _enhanced(ImageEnhance.Color, i, s),
    "contrast": lambda i, s: _enhanced(ImageEnhance.Contrast, i, s),
    "brightness": lambda i, s: _enhanced(ImageEnhance.Brightness, i, s),
    "sharpness": lambda i, s: _enhanced(ImageEnhance.Sharpness, i, s),
    "shear x": lambda i, s: _move(i, 1, _shear(s), 0, 0, 1, 0),
    "shear y": lambda i, s: _move(i, 1, 0, 0, _shear(s), 1, 0),
    "translate x": lambda i, s: _move(i, 1, 0, s.sign * s.strength * 0.33 * i.width, 0, 1, 0),
    "translate y": lambda i, s: _move(i, 1, 0, 0, 0, 1, s.sign * s.strength * 0.33 * i.height),
    "cutout": _cut_out,
    "blur": lambda i, s: i.filter(ImageFilter.BLUR),
    "smooth": lambda i, s: i.filter(ImageFilter.SMOOTH),
}


class Draw(NamedTuple):
    """What is done to a clip, in this order."""

    mirrored: bool
    cut: tuple[float, float, float, float]  # off top, right, bottom, left: shares of the side
    steps: list[tuple[str, Step]]


def draw(text: str, rng: Generator) -> Draw:
    match = re.fullmatch(IMGAUG, text)
    assert match, text
    magnitude, count = int(match[1]), int(match[2])
    mirrored = rng.random() < 0.5
    top, right, bottom, left = rng.uniform(0, magnitude / CROPPED, size=4)
    names = list(OPERATIONS)
    steps = []
    for k in rng.permutation(len(names))[:count]:
        sign, at = 1 if rng.random() < 0.5 else -1, (rng.random(), rng.random())
        steps.append((names[k], Step(magnitude / MAX_MAGNITUDE, sign, at)))
    return Draw(mirrored, (top, right, bottom, left), steps)


def rand_augment(x: Tensor, text: str, rng: Generator) -> Tensor:
    """Change a clip uint8 (T, 3, S, S) by one draw; the shape stays."""
    mirrored, cut, steps = draw(text, rng)
    x = _cut_sides(x.flip(-1) if mirrored else x, cut)
    frames = []
    for frame in x.permute(0, 2, 3, 1).contiguous().numpy():  # (S, S, 3)
        image = Image.fromarray(frame)
        for name, step in steps:
            image = OPERATIONS[name](image, step)
        frames.append(np.asarray(image))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


def _cut_sides(x: Tensor, cut: tuple[float, float, float, float]) -> Tensor:
    height, width = x.shape[-2:]
    top, right, bottom, left = (
        round(share * n) for share, n in zip(cut, (height, width, height, width), strict=True)
    )
    x = x[..., top : height - bottom, left : width - right].contiguous()
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
