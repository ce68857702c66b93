"""Each operation against its formula in NumPy, and what is drawn against the official text form."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from vidtune.data import randaugment as ra

TEXT = "rand-m7-n4-mstd0.5-inc1"
H, W = 40, 60
LEVELS = np.arange(256)
STRENGTHS = (0.0, 0.61, 0.7, 0.83, 1.0)


def picture(kind: str) -> np.ndarray:
    """uint8 (H, W, 3): noise, a ramp for each colour, or nearly flat."""
    y, x = np.mgrid[:H, :W]
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    if kind == "ramps":
        return np.stack([2 * x, 3 * y, 20 + x + y], axis=-1).astype(np.uint8)
    flat = np.full((H, W, 3), 90, np.uint8)
    flat[5:9, :, 0] = 200
    return flat


def applied(name: str, image: np.ndarray, strength: float, sign: int) -> np.ndarray:
    return np.asarray(ra.OPERATIONS[name](Image.fromarray(image), strength, sign))


# --- operations on levels ---


def gray(x: np.ndarray) -> np.ndarray:
    """Luma of BT.601 in fixed point, (H, W, 1)."""
    return (x.astype(int) @ [19595, 38470, 7471] + 0x8000 >> 16)[..., None]


def blend(start: np.ndarray | float, x: np.ndarray, factor: float) -> np.ndarray:
    start = np.float32(start)
    return (start + np.float32(factor) * (x - start)).clip(0, 255)


def stretch(plane: np.ndarray) -> np.ndarray:
    low, high = int(plane.min()), int(plane.max())
    if high == low:
        return plane
    scale = 255 / (high - low)
    return (LEVELS * scale - low * scale).astype(int).clip(0, 255)[plane]


def flatten(plane: np.ndarray) -> np.ndarray:
    """The histogram is made flat, in steps of a 255th of all pixels but the brightest level's."""
    counts = np.bincount(plane.ravel(), minlength=256)
    step = (counts.sum() - counts[plane.max()]) // 255
    if not step:
        return plane
    return ((step // 2 + counts.cumsum() - counts) // step).clip(0, 255)[plane]


def smooth(x: np.ndarray) -> np.ndarray:
    """Inner pixels: a mean over 3x3 in which the centre counts five times."""
    out = x.copy()
    nine = np.lib.stride_tricks.sliding_window_view(x.astype(int), (3, 3), axis=(0, 1))
    out[1:-1, 1:-1] = (nine.sum((-1, -2)) + 4 * nine[..., 1, 1]) / 13 + 0.5
    return out


def by_plane(function: Callable[[np.ndarray], np.ndarray]) -> Callable[..., np.ndarray]:
    return lambda x, m, s: np.stack([function(x[..., c]) for c in range(3)], axis=-1)


LEVELLED: dict[str, Callable[[np.ndarray, float, int], np.ndarray]] = {
    "auto contrast": by_plane(stretch),
    "equalize": by_plane(flatten),
    "invert": lambda x, m, s: 255 - x,
    "posterize": lambda x, m, s: x & (0xFF << (4 + int(m * 4)) & 0xFF),
    "solarize": lambda x, m, s: np.where(x < 256 - int(m * 256), x, 255 - x),
    "solarize add": lambda x, m, s: np.where(
        x < 128, (x.astype(int) + int(m * 110)).clip(0, 255), x
    ),
    "colour": lambda x, m, s: blend(gray(x), x, 1 + s * m * 0.9),
    "contrast": lambda x, m, s: blend(int(gray(x).mean() + 0.5), x, 1 + s * m * 0.9),
    "brightness": lambda x, m, s: blend(0, x, 1 + s * m * 0.9),
    "sharpness": lambda x, m, s: blend(smooth(x), x, 1 + s * m * 0.9),
}


@pytest.mark.parametrize("kind", ["noise", "ramps", "flat"])
@pytest.mark.parametrize("name", LEVELLED)
def test_an_operation_on_levels_follows_its_formula(name: str, kind: str):
    x = picture(kind)
    for strength in STRENGTHS:
        for sign in (1, -1):
            expected = LEVELLED[name](x, strength, sign).astype(np.uint8)
            assert np.array_equal(applied(name, x, strength, sign), expected), (strength, sign)


# --- operations on places ---


def turn(x: np.ndarray, y: np.ndarray, m: float) -> tuple[np.ndarray, np.ndarray]:
    """Counterclockwise by 30 degrees at most; y points down."""
    cos, sin = np.cos(np.radians(30 * m)), np.sin(np.radians(30 * m))
    dx, dy = x - W / 2, y - H / 2
    return W / 2 + cos * dx - sin * dy, H / 2 + sin * dx + cos * dy


# pixel centres and signed strength -> the place whose colour is shown there
PLACED: dict[str, Callable[[np.ndarray, np.ndarray, float], tuple[np.ndarray, np.ndarray]]] = {
    "rotate": turn,
    "shear x": lambda x, y, m: (x + 0.3 * m * y, y),
    "shear y": lambda x, y, m: (x, y + 0.3 * m * x),
    "translate x": lambda x, y, m: (x + 0.45 * m * W, y),
    "translate y": lambda x, y, m: (x, y + 0.45 * m * H),
}


@pytest.mark.parametrize("name", PLACED)
def test_an_operation_on_places_shows_what_lies_there(name: str):
    """Ramps nearly stay ramps under bicubic interpolation, two pixels away from the edge."""
    y, x = np.mgrid[:H, :W] + 0.5
    for strength in STRENGTHS:
        for sign in (1, -1):
            out = applied(name, picture("ramps"), strength, sign).astype(float)
            u, v = PLACED[name](x, y, sign * strength)
            outside = (u < -1e-6) | (u > W + 1e-6) | (v < -1e-6) | (v > H + 1e-6)
            assert (out[outside] == ra.FILL).all()
            inner = (u > 2) & (u < W - 2) & (v > 2) & (v < H - 2)
            u, v = u - 0.5, v - 0.5
            expected = np.stack([2 * u, 3 * v, 20 + u + v], axis=-1)
            assert abs(out + 0.5 - expected)[inner].max() < 1, (strength, sign)
            assert inner.sum() > 500


def test_a_move_by_whole_pixels_changes_no_colour():
    x, hole = picture("noise"), np.full((H, W, 3), 128, np.uint8)
    hole[:, : W - 27] = x[:, 27:]
    assert np.array_equal(applied("translate x", x, 1.0, 1), hole)
    hole = np.full((H, W, 3), 128, np.uint8)
    hole[18:] = x[: H - 18]
    assert np.array_equal(applied("translate y", x, 1.0, -1), hole)


# --- draws ---


def test_all_fifteen_are_tested():
    assert set(ra.OPERATIONS) == {*LEVELLED, *PLACED} and len(ra.OPERATIONS) == 15
    assert ImageFilter.SMOOTH.filterargs[:2] == ((3, 3), 13)  # what sharpness starts from


def test_a_seed_draws_the_same_operations_as_ever():
    drawn = {
        seed: [(name, round(strength, 6), sign) for name, strength, sign in operations]
        for seed in range(4)
        if (operations := ra.draw(TEXT, np.random.default_rng(seed)))
    }
    assert drawn == {
        0: [("shear y", 0.705245, -1)],
        1: [("colour", 0.634842, 1), ("colour", 0.673152, 1), ("translate y", 0.701421, -1)],
        2: [("rotate", 0.789985, -1), ("equalize", 0.73869, 1)],
        3: [("invert", 0.68922, 1), ("rotate", 0.656739, 1)],
    }


def test_what_is_drawn_is_what_the_text_says():
    rng = np.random.default_rng(0)
    several = [ra.draw(TEXT, rng) for _ in range(4000)]
    operations = [one for some in several for one in some]
    assert {len(some) for some in several} == {0, 1, 2, 3, 4}
    assert len(operations) / 4000 == pytest.approx(2, abs=0.07)  # 4 standard deviations
    counts = np.array([sum(n == name for n, _, _ in operations) for name in ra.OPERATIONS])
    assert (abs(counts / len(operations) - 1 / 15) < 0.012).all()
    strengths = np.array([m for _, m, _ in operations])
    assert strengths.mean() == pytest.approx(0.7, abs=0.003)
    assert strengths.std() == pytest.approx(0.05, abs=0.002)
    assert np.mean([s for _, _, s in operations]) == pytest.approx(0, abs=0.05)
    assert any(len({n for n, _, _ in some}) < len(some) for some in several)  # with replacement
    strongest = ra.draw("rand-m10-n9-mstd5-inc1", np.random.default_rng(1))
    assert all(0 <= m <= 1 for _, m, _ in strongest)


def test_all_frames_of_a_clip_are_changed_alike():
    frame = torch.from_numpy(picture("noise")).permute(2, 0, 1)
    still = frame.expand(4, -1, -1, -1)
    before = still.clone()
    for seed in range(20):
        out = ra.rand_augment(still, TEXT, np.random.default_rng(seed))
        assert out.dtype == torch.uint8 and out.shape == still.shape
        assert (out == out[:1]).all() and torch.equal(still, before)
        again = ra.rand_augment(still, TEXT, np.random.default_rng(seed))
        assert torch.equal(out, again)
