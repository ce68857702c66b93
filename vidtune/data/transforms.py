"""Random changes of training clips on uint8, and the resizing that belongs to them.

timm's RandAugment changes the decoded frames; then they are resized and cropped, flipped, made gray.
What follows is mmaction2's: imgaug's RandAugment, a colour noise (`lighting`: Krizhevsky et al., NIPS
2012) and an erased rectangle (Zhong et al., AAAI 2020, in timm's form). Frames are rounded to whole
levels after each step, where the official code keeps fractions after the crop or the noise.
Kinds of random crop:
- `side4video` cuts a share of the resized frames' area, with an aspect ratio that is uniform in
  3/4..4/3 and inverted with probability 1/2 (resized antialiased, as Pillow does);
- `slowfast` cuts a share of the decoded frames' area, or of the area that they have once their short
  side is `resize`, with a log-uniform aspect ratio (resized without antialiasing): ST-Adapter, EVL,
  DiST, AIM (whose own code takes a central square where no try fits);
- `jitter` cuts a window of the model's size out of frames whose short side is up to `scale` times
  as long (resized without antialiasing): ST-Adapter on Kinetics.

Checked against github.com/HJYao00/Side4Video at 5d72352 (datasets/transforms.py), linziyi96/st-adapter
at b914b38 and OpenGVLab/efficient-video-recognition at b282e8b (video_dataset/transform.py),
taoyang1122/adapt-image-models at b3580d2 (mmaction/datasets/pipelines/augmentations.py) and
alibaba-mmai-research/DiST at 4b3a09b (dataset/base/ssv2.py).

Shapes: T frames, S pixels of the model's side; x is uint8 (T, 3, H, W).
"""

import math

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from vidtune.data import imgaug
from vidtune.data.randaugment import rand_augment
from vidtune.nn.pixels import MEAN, Resizing, Size, centre, scaled, short_side
from vidtune.spec import Recipe
from vidtune.spec.recipe import Augment

Box = tuple[int, int, int, int]  # top, left, height, width
TRIES = 10  # draws of a crop until one fits into the frame
RATIO = (3 / 4, 4 / 3)  # width to height
ERASED = (0.02, 1 / 3)  # share of the area
ERASED_RATIO = (0.3, 1 / 0.3)  # height to width
GROUND = torch.tensor(MEAN).mul(255).round().to(torch.uint8).view(3, 1, 1)
# Of ImageNet's pixels in 0..255: the principal axes (columns), and how far colours spread along them.
SPREADS = np.array([55.46, 4.794, 1.148])
AXES = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)  # (3 colours, 3 axes)


def augment(x: Tensor, recipe: Recipe, side: int, rng: Generator) -> tuple[Tensor, bool]:
    """Draw the recipe's changes once: return (uint8 (T, 3, S, S), whether it is flipped)."""
    how = recipe.augment
    if how.randaugment:
        x = rand_augment(x, how.randaugment, rng)
    x = _crop(x, recipe, how, side, rng)
    flipped = bool(how.flip) and rng.random() < how.flip
    if flipped:
        x = x.flip(-1)
    if how.gray and rng.random() < how.gray:
        x = gray(x).expand_as(x)
    if how.imgaug:
        x = imgaug.rand_augment(x, how.imgaug, rng)
    if how.lighting:
        x = lighting(x, rng.normal(0, how.lighting, size=3))
    if how.erase and rng.random() < how.erase:
        x = erase(x, rng)
    return x.contiguous(), flipped


def gray(x: Tensor) -> Tensor:
    """Return the luma (T, 1, H, W) of BT.601 in Pillow's fixed point; x is uint8 (T, 3, H, W)."""
    weights = torch.tensor([19595, 38470, 7471], dtype=torch.int32).view(3, 1, 1)
    return ((x.int() * weights).sum(1, keepdim=True) + 0x8000 >> 16).to(torch.uint8)


def lighting(x: Tensor, strengths: NDArray[np.float64]) -> Tensor:
    """Add to all pixels of uint8 (T, 3, H, W) one colour, by its `strengths` (3,) along the axes."""
    colour = torch.from_numpy(AXES @ (strengths * SPREADS)).float().view(3, 1, 1)
    return (x + colour).round().clamp(0, 255).to(torch.uint8)


def erase(x: Tensor, rng: Generator) -> Tensor:
    """Give a rectangle of uint8 (T, 3, H, W) the mean colour, which is 0 once it is normalised."""
    height, width = x.shape[-2:]
    for _ in range(TRIES):
        area = height * width * rng.uniform(*ERASED)
        ratio = math.exp(rng.uniform(math.log(ERASED_RATIO[0]), math.log(ERASED_RATIO[1])))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < height and w < width:
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            x = x.clone()
            x[..., top : top + h, left : left + w] = GROUND
            return x
    return x


def resizing(recipe: Recipe, size: int | None = None) -> Resizing:
    """How a recipe's frames are resized before a crop: to its own size, or to a short side `size`."""
    size = size or recipe.resize
    return Resizing(size, recipe.filter, recipe.antialias, recipe.three_crops, recipe.odd_centre)


def _crop(x: Tensor, recipe: Recipe, how: Augment, side: int, rng: Generator) -> Tensor:
    if how.resize:
        x = scaled(x, side, resizing(recipe, how.resize))
    if how.crop == "slowfast":
        return _resize_box(x, _slowfast(*x.shape[-2:], how.scale, rng), (side, side), how.filter)
    if how.crop == "jitter":
        short = round(float(rng.uniform(*(round(side * s) for s in how.scale))))
        x = _resize(x, short_side(*x.shape[-2:], short), how.filter)
        return _crop_window(x, side, rng, end=0)
    if not how.resize:
        x = scaled(x, side, resizing(recipe))
    if how.crop is None:
        return centre(x, side, how=resizing(recipe))
    box = _random_box(*x.shape[-2:], how.scale, rng)
    if box is None:
        x = _resize(x, short_side(*x.shape[-2:], side), how.filter, antialias=True)
        return _crop_window(x, side, rng)
    return _resize_box(x, box, (side, side), how.filter, antialias=True)


def _random_box(height: int, width: int, scale: tuple[float, float], rng: Generator) -> Box | None:
    """Draw a crop as Side4Video does; None: no try fitted."""
    for _ in range(TRIES):
        area, ratio = height * width * rng.uniform(*scale), rng.uniform(*RATIO)
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if rng.random() < 0.5:
            w, h = h, w
        if 0 < w <= width and 0 < h <= height:
            left, top = rng.integers(width - w + 1), rng.integers(height - h + 1)
            return int(top), int(left), h, w
    return None


def _slowfast(height: int, width: int, scale: tuple[float, float], rng: Generator) -> Box:
    """Draw a crop. Where no try fits, return the largest central one with a ratio in bounds."""
    for _ in range(TRIES):
        area = height * width * rng.uniform(*scale)
        ratio = math.exp(rng.uniform(math.log(RATIO[0]), math.log(RATIO[1])))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
            return int(top), int(left), h, w
    h = min(height, round(width / RATIO[0]))
    w = min(width, round(height * RATIO[1]))
    return (height - h) // 2, (width - w) // 2, h, w


def _crop_window(x: Tensor, side: int, rng: Generator, end: int = 1) -> Tensor:
    """Cut a random window of the model's size; with `end` 0 never at the far end, as in SlowFast."""
    top, left = (int(rng.integers(over + end)) if (over := n - side) else 0 for n in x.shape[-2:])
    return x[..., top : top + side, left : left + side]


def _resize_box(x: Tensor, box: Box, size: Size, filter: str, antialias: bool = False) -> Tensor:
    top, left, height, width = box
    return _resize(x[..., top : top + height, left : left + width], size, filter, antialias)


def _resize(x: Tensor, size: Size, filter: str, antialias: bool = False) -> Tensor:
    if size == tuple(x.shape[-2:]):
        return x
    x = x.contiguous()
    return F.interpolate(x, size=size, mode=filter, antialias=antialias, align_corners=False)
