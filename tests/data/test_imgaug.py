"""imgaug's RandAugment: each operation against its formula in NumPy or Pillow, and what is drawn."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from vidtune.data import imgaug as ia

TEXT = "m7-n4"
SIDE = 60
STRENGTHS = (0.0, 7 / 30, 0.5, 1.0)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def applied(name: str, strength: float, sign: int = 1, at: tuple[float, float] = (0.5, 0.5)):
    image = Image.fromarray(noise())
    return np.asarray(ia.OPERATIONS[name](image, ia.Step(strength, sign, at)))


def pillow(function: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return np.asarray(function(Image.fromarray(noise())))


def enhanced(kind: Callable) -> Callable[[float, int], np.ndarray]:
    return lambda m, s: pillow(lambda i: kind(i).enhance(1 + s * 0.9 * m))


LEVELLED: dict[str, Callable[[float, int], np.ndarray]] = {
    "identity": lambda m, s: noise(),
    "auto contrast": lambda m, s: pillow(ImageOps.autocontrast),
    "equalize": lambda m, s: pillow(ImageOps.equalize),
    "invert": lambda m, s: 255 - noise(),
    "posterize": lambda m, s: noise() & (0xFF << int(6 * m) & 0xFF),
    "solarize": lambda m, s: np.where(noise() < 256 - int(256 * m), noise(), 255 - noise()),
    "colour": enhanced(ImageEnhance.Color),
    "contrast": enhanced(ImageEnhance.Contrast),
    "brightness": enhanced(ImageEnhance.Brightness),
    "sharpness": enhanced(ImageEnhance.Sharpness),
    "blur": lambda m, s: pillow(lambda i: i.filter(ImageFilter.BLUR)),
    "smooth": lambda m, s: pillow(lambda i: i.filter(ImageFilter.SMOOTH)),
}


@pytest.mark.parametrize("name", LEVELLED)
def test_an_operation_on_levels_follows_its_formula(name: str):
    for strength in STRENGTHS:
        for sign in (1, -1):
            assert np.array_equal(applied(name, strength, sign), LEVELLED[name](strength, sign))


def turn(x: np.ndarray, y: np.ndarray, m: float) -> tuple[np.ndarray, np.ndarray]:
    cos, sin = np.cos(np.radians(30 * m)), np.sin(np.radians(30 * m))
    dx, dy = x - SIDE / 2, y - SIDE / 2
    return SIDE / 2 + cos * dx + sin * dy, SIDE / 2 - sin * dx + cos * dy


def slant(m: float) -> float:
    return math.tanh(0.3 * m)


# pixel centres and signed strength -> the place whose nearest pixel is shown there
PLACED: dict[str, Callable] = {
    "rotate": turn,
    "shear x": lambda x, y, m: (x + slant(m) * y, y),
    "shear y": lambda x, y, m: (x, y + slant(m) * x),
    "translate x": lambda x, y, m: (x + 0.33 * m * SIDE, y),
    "translate y": lambda x, y, m: (x, y + 0.33 * m * SIDE),
}


@pytest.mark.parametrize("name", PLACED)
def test_an_operation_on_places_shows_the_nearest_pixel(name: str):
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for strength in STRENGTHS:
        for sign in (1, -1):
            out = applied(name, strength, sign)
            u, v = PLACED[name](x, y, sign * strength)
            near = np.minimum(abs(u - u.round()), abs(v - v.round())) < 1e-3  # either neighbour
            inside = (u > 0) & (u < SIDE) & (v > 0) & (v < SIDE)
            expected = np.full((SIDE, SIDE, 3), 128, np.uint8)
            expected[inside] = noise()[v[inside].astype(int), u[inside].astype(int)]
            assert np.array_equal(out[~near], expected[~near]), (strength, sign)
            assert (~near & inside).sum() > 500


def test_a_square_is_cut_out_around_its_place():
    out, expected = applied("cutout", 0.4, at=(0.2, 0.9)), noise()
    half = 0.4 * 20 / 32 / 2 * SIDE  # 7.5 pixels
    expected[int(54 - half) :, int(12 - half) : int(12 + half)] = 128
    assert np.array_equal(out, expected)
    assert np.array_equal(applied("cutout", 0.0), noise())


# --- draws ---


def test_all_eighteen_are_tested():
    assert set(ia.OPERATIONS) == {*LEVELLED, *PLACED, "cutout"} and len(ia.OPERATIONS) == 18


def test_what_is_drawn_is_what_the_text_says():
    rng = np.random.default_rng(0)
    draws = [ia.draw(TEXT, rng) for _ in range(4000)]
    assert np.mean([d.mirrored for d in draws]) == pytest.approx(0.5, abs=0.03)
    cuts = 224 * np.array([d.cut for d in draws])
    assert cuts.min() >= 0 and 6.9 < cuts.max() <= 7
    assert cuts.mean(0) == pytest.approx(np.full(4, 3.5), abs=0.15)
    assert abs(np.corrcoef(cuts.T) - np.eye(4)).max() < 0.07  # each side by itself
    names = [[name for name, _ in d.steps] for d in draws]
    assert all(len(set(some)) == 4 for some in names)  # without replacement
    counts = np.array([sum(name in some for some in names) for name in ia.OPERATIONS])
    assert (abs(counts / 4000 - 4 / 18) < 0.03).all()
    assert {some[0] for some in names} == set(ia.OPERATIONS)  # in random order
    steps = [step for d in draws for _, step in d.steps]
    assert {s.strength for s in steps} == {7 / 30}
    assert np.mean([s.sign for s in steps]) == pytest.approx(0, abs=0.04)
    assert np.mean([s.at for s in steps], axis=0) == pytest.approx([0.5, 0.5], abs=0.02)


def test_all_frames_of_a_clip_are_changed_alike():
    still = torch.from_numpy(noise()).permute(2, 0, 1).expand(3, -1, -1, -1)
    before, outs = still.clone(), set()
    for seed in range(20):
        out = ia.rand_augment(still, TEXT, np.random.default_rng(seed))
        assert out.dtype == torch.uint8 and out.shape == still.shape
        assert (out == out[:1]).all() and torch.equal(still, before)
        assert torch.equal(out, ia.rand_augment(still, TEXT, np.random.default_rng(seed)))
        outs.add(out.numpy().tobytes())
    assert len(outs) == 20


def test_sides_are_cut_off_and_the_rest_fills_the_frame():
    ramp = torch.arange(224, dtype=torch.uint8).expand(1, 3, 224, 224)  # the column
    assert torch.equal(ia._cut_sides(ramp, (0, 0, 0, 0)), ramp)
    out = ia._cut_sides(ramp, (0.01, 7 / 224, 0.02, 3 / 224))[0, 0].float()
    assert (out == out[:1]).all() and out[0, 0] == 3 and out[0, -1] == 216
    x = (torch.arange(224) + 0.5) * 214 / 224 - 0.5 + 3
    assert (out[0] - x.clamp(3, 216)).abs().max() <= 0.51
