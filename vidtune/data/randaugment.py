"""RandAugment on clips (Cubuk et al., CVPRW 2020, arXiv:1909.13719), in timm's form.

`rand-m7-n4-mstd0.5-inc1` draws four operations, with replacement, out of 15 whose strength grows
with the magnitude. Each is applied with probability 1/2, at a magnitude from N(7, 0.5) clipped to
0..10. The draw holds for all frames of a clip; what an operation measures (a histogram, a mean) is
measured on each frame.

Checked against timm's form for videos, datasets/rand_augment.py in HJYao00/Side4Video at 5d72352
(the same in TempMe at e624930 and ST-Adapter at b914b38), whose operations are Pillow's as well.
Modification: NumPy's random generator in place of Python's.
"""

import re
from collections.abc import Callable

import numpy as np
import torch
from numpy.random import Generator
from PIL import Image, ImageEnhance, ImageOps
from torch import Tensor

from vidtune.spec.recipe import RANDAUGMENT

FILL = (128, 128, 128)  # colour of the holes that a moved frame leaves
BICUBIC = Image.Resampling.BICUBIC
MAX_MAGNITUDE = 10.0


def _move(image: Image.Image, *matrix: float) -> Image.Image:
    """Show at (x, y) what lies at (a x + b y + c, d x + e y + f) for matrix = (a, b, c, d, e, f)."""
    return image.transform(image.size, Image.Transform.AFFINE, matrix, BICUBIC, fillcolor=FILL)


def _posterize(image: Image.Image, bits: int) -> Image.Image:
    """Keep the highest bits. Old versions of Pillow gave black for 0 bits, new ones refuse them."""
    return ImageOps.posterize(image, bits) if bits else Image.new("RGB", image.size)


def _solarize_add(image: Image.Image, amount: int) -> Image.Image:
    """Brighten the levels below 128."""
    return image.point([min(255, i + amount) if i < 128 else i for i in range(256)] * 3)


# name -> function of (image, strength in 0..1, sign); draws depend on the order of this table
OPERATIONS: dict[str, Callable[[Image.Image, float, int], Image.Image]] = {
    "auto contrast": lambda i, m, s: ImageOps.autocontrast(i),
    "equalize": lambda i, m, s: ImageOps.equalize(i),
    "invert": lambda i, m, s: ImageOps.invert(i),
    "rotate": lambda i, m, s: i.rotate(s * m * 30, BICUBIC, fillcolor=FILL),  # counterclockwise
    "posterize": lambda i, m, s: _posterize(i, 4 - int(m * 4)),
    "solarize": lambda i, m, s: ImageOps.solarize(i, 256 - int(m * 256)),
    "solarize add": lambda i, m, s: _solarize_add(i, int(m * 110)),
    "colour": lambda i, m, s: ImageEnhance.Color(i).enhance(1 + s * m * 0.9),
    "contrast": lambda i, m, s: ImageEnhance.Contrast(i).enhance(1 + s * m * 0.9),
    "brightness": lambda i, m, s: ImageEnhance.Brightness(i).enhance(1 + s * m * 0.9),
    "sharpness": lambda i, m, s: ImageEnhance.Sharpness(i).enhance(1 + s * m * 0.9),
    "shear x": lambda i, m, s: _move(i, 1, s * m * 0.3, 0, 0, 1, 0),
    "shear y": lambda i, m, s: _move(i, 1, 0, 0, s * m * 0.3, 1, 0),
    "translate x": lambda i, m, s: _move(i, 1, 0, s * m * 0.45 * i.width, 0, 1, 0),
    "translate y": lambda i, m, s: _move(i, 1, 0, 0, 0, 1, s * m * 0.45 * i.height),
}


def draw(text: str, rng: Generator) -> list[tuple[str, float, int]]:
    """Return the (operation, strength in 0..1, sign) that are applied, in order."""
    match = re.fullmatch(RANDAUGMENT, text)
    assert match, text
    magnitude, count, spread = float(match[1]), int(match[2]), float(match[3] or 0)
    names = list(OPERATIONS)
    applied = []
    for k in rng.integers(len(names), size=count):
        if rng.random() < 0.5:
            drawn = rng.normal(magnitude, spread)
            strength = min(max(drawn, 0.0), MAX_MAGNITUDE) / MAX_MAGNITUDE
            applied.append((names[k], strength, 1 if rng.random() < 0.5 else -1))
    return applied


def rand_augment(x: Tensor, text: str, rng: Generator) -> Tensor:
    """Change a clip uint8 (T, 3, H, W) by one draw; the shape stays."""
    operations = draw(text, rng)
    if not operations:
        return x
    frames = []
    for frame in x.permute(0, 2, 3, 1).contiguous().numpy():  # (H, W, 3)
        image = Image.fromarray(frame)
        for name, strength, sign in operations:
            image = OPERATIONS[name](image, strength, sign)
        frames.append(np.asarray(image))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
