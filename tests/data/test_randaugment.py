"""Each operation gives what Pillow gives, which the official codes apply frame by frame."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from torch import Tensor

from vidtune.data import randaugment as ra

TEXT = "rand-m7-n4-mstd0.5-inc1"
T, H, W = 3, 41, 60


def clip(kind: str) -> Tensor:
    """uint8 (T, 3, H, W): noise, smooth, or nearly flat."""
    rng = np.random.default_rng(0)
    if kind == "noise":
        x = rng.integers(0, 256, (T, 3, H, W))
    elif kind == "smooth":
        y, z = np.mgrid[:H, :W]
        planes = [y * 3 + z, 200 - y - z, z * 4]
        x = np.stack([np.stack(planes) // (t + 1) + 20 * t for t in range(T)])
    else:
        x = np.full((T, 3, H, W), 90)
        x[:, 0, 5:9] = 200
        x[1] = 7
    return torch.from_numpy(x.clip(0, 255).astype(np.uint8))


def moved(image: Image.Image, matrix: tuple[float, ...]) -> Image.Image:
    how = {"resample": Image.Resampling.BICUBIC, "fillcolor": (128, 128, 128)}
    return image.transform(image.size, Image.Transform.AFFINE, matrix, **how)


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    return image.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=(128, 128, 128))


def added(image: Image.Image, more: int) -> Image.Image:
    return image.point([min(255, i + more) if i < 128 else i for i in range(256)] * 3)


def posterized(image: Image.Image, bits: int) -> Image.Image:
    """Pillow took 0 bits once, and gave black."""
    return ImageOps.posterize(image, bits) if bits else Image.new("RGB", image.size)


# what timm's form makes of the level: rotation +-30, shear +-0.3, translation +-0.45, ...
PILLOW = {
    "auto contrast": lambda i, m, s: ImageOps.autocontrast(i),
    "equalize": lambda i, m, s: ImageOps.equalize(i),
    "invert": lambda i, m, s: ImageOps.invert(i),
    "rotate": lambda i, m, s: rotated(i, s * m * 30),
    "posterize": lambda i, m, s: posterized(i, 4 - int(m * 4)),
    "solarize": lambda i, m, s: ImageOps.solarize(i, 256 - int(m * 256)),
    "solarize add": lambda i, m, s: added(i, int(m * 110)),
    "colour": lambda i, m, s: ImageEnhance.Color(i).enhance(1 + s * m * 0.9),
    "contrast": lambda i, m, s: ImageEnhance.Contrast(i).enhance(1 + s * m * 0.9),
    "brightness": lambda i, m, s: ImageEnhance.Brightness(i).enhance(1 + s * m * 0.9),
    "sharpness": lambda i, m, s: ImageEnhance.Sharpness(i).enhance(1 + s * m * 0.9),
    "shear x": lambda i, m, s: moved(i, (1, s * m * 0.3, 0, 0, 1, 0)),
    "shear y": lambda i, m, s: moved(i, (1, 0, 0, s * m * 0.3, 1, 0)),
    "translate x": lambda i, m, s: moved(i, (1, 0, s * m * 0.45 * i.size[0], 0, 1, 0)),
    "translate y": lambda i, m, s: moved(i, (1, 0, 0, 0, 1, s * m * 0.45 * i.size[1])),
}
BICUBIC = {"rotate", "shear x", "shear y", "translate x", "translate y"}


def by_pillow(x: Tensor, name: str, strength: float, sign: int) -> Tensor:
    frames = []
    for frame in x.permute(0, 2, 3, 1).numpy():
        frames.append(np.asarray(PILLOW[name](Image.fromarray(frame), strength, sign)))
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)


@pytest.mark.parametrize("kind", ["noise", "smooth", "flat"])
@pytest.mark.parametrize("name", ra.OPERATIONS)
def test_an_operation_is_pillows(name: str, kind: str):
    x = clip(kind)
    before = x.clone()
    for strength in (0.0, 0.61, 0.7, 0.83, 1.0):
        for sign in (1, -1):
            got = ra.OPERATIONS[name](x, strength, sign)
            want = by_pillow(x, name, strength, sign)
            assert got.dtype == torch.uint8 and got.shape == x.shape
            differ = (got.int() - want.int()).abs()
            if name in BICUBIC:  # cut off, not rounded: a hair's breadth decides
                assert differ.max() <= 1 and differ.float().mean() < 0.01
            else:
                assert differ.max() == 0, (strength, sign)
    assert torch.equal(x, before)


def test_all_fifteen_are_there():
    assert set(ra.OPERATIONS) == set(PILLOW) and len(PILLOW) == 15
    assert ImageFilter.SMOOTH.filterargs[:2] == ((3, 3), 13)  # what sharpness starts from


def test_what_is_drawn_is_what_the_text_says():
    rng = np.random.default_rng(0)
    several = [ra.drawn(TEXT, rng) for _ in range(4000)]
    applied = [one for some in several for one in some]
    assert {len(some) for some in several} == {0, 1, 2, 3, 4}
    assert len(applied) / 4000 == pytest.approx(2, abs=0.07)  # 4 standard deviations
    counts = np.array([sum(n == name for n, _, _ in applied) for name in ra.OPERATIONS])
    assert (abs(counts / len(applied) - 1 / 15) < 0.012).all()
    strengths = np.array([m for _, m, _ in applied])
    assert strengths.mean() == pytest.approx(0.7, abs=0.003)
    assert strengths.std() == pytest.approx(0.05, abs=0.002)
    assert np.mean([s for _, _, s in applied]) == pytest.approx(0, abs=0.05)
    assert any(len({n for n, _, _ in some}) < len(some) for some in several)  # with replacement
    strongest = ra.drawn("rand-m10-n9-mstd5-inc1", np.random.default_rng(1))
    assert all(0 <= m <= 1 for _, m, _ in strongest)


def test_all_frames_of_a_clip_are_changed_alike():
    frame = clip("noise")[:1]
    still = frame.expand(4, -1, -1, -1).contiguous()
    for seed in range(20):
        out = ra.rand_augment(still, TEXT, np.random.default_rng(seed))
        assert (out == out[:1]).all()
        again = ra.rand_augment(still, TEXT, np.random.default_rng(seed))
        assert torch.equal(out, again)
