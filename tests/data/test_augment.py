"""Random changes of training clips: alike for all frames, as the recipe says, with what they swap."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import videos
from PIL import Image
from pydantic import ValidationError
from torch import Tensor

from vidtune.data import records, transforms
from vidtune.data.clips import Clips
from vidtune.data.transforms import augment, erase, gray, lighting
from vidtune.nn.pixels import MEAN, Resizing, normalise, resize, scaled
from vidtune.spec import Recipe
from vidtune.spec.recipe import Augment

SIDE = 24


def recipe(before: object = None, **augmented: object) -> Recipe:
    base = {"name": "r", "task": "recognition", "lr": 1.0, "weight_decay": 0.0, "batch": 2}
    more = {"epochs": 1, "sampler": "segments", "resize": before, "augment": augmented}
    return Recipe.model_validate({**base, **more})


def still(frames: int = 3, height: int = 40, width: int = 56) -> Tensor:
    """The same picture over and over: its colours say where a pixel was."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    one = torch.stack([4 * x, 6 * y, 2 * (x + y)]).to(torch.uint8)
    return one.expand(frames, -1, -1, -1)


CHAINS = {
    "side4video-ss": ({"randaugment": "rand-m7-n4-mstd0.5-inc1", "crop": "side4video"}, (32, 40)),
    "side4video-k400": ({"crop": "side4video", "flip": 0.5, "gray": 0.2}, 28),
    "st-adapter": ({"crop": "slowfast", "filter": "bicubic"}, None),
    "jitter": ({"crop": "jitter", "scale": (1.0, 1.15), "filter": "bicubic", "flip": 0.5}, None),
    "aim-ss": ({"resize": 28, "crop": "slowfast", "imgaug": "m7-n4", "erase": 0.25}, None),
    "aim-k400": ({"resize": 28, "crop": "slowfast", "flip": 0.5, "lighting": 0.1}, None),
    "dist": ({"crop": "slowfast", "scale": (0.4, 1.0), "flip": 0.5, "gray": 0.2}, None),
    "tempme": ({"randaugment": "rand-m7-n4-mstd0.5-inc1"}, None),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("shape", [(40, 56), (56, 40), (24, 24), (25, 90)])
def test_a_draw_is_alike_for_all_frames_and_repeats_by_its_seed(name: str, shape: tuple[int, int]):
    how, resize = CHAINS[name]
    x = still(3, *shape)
    before, outs = x.clone(), []
    for seed in range(12):
        out, _ = augment(x, recipe(resize, **how), SIDE, np.random.default_rng(seed))
        again, _ = augment(x, recipe(resize, **how), SIDE, np.random.default_rng(seed))
        assert out.shape == (3, 3, SIDE, SIDE) and out.dtype == torch.uint8
        assert (out == out[:1]).all() and torch.equal(out, again)
        outs.append(out)
    assert torch.equal(x, before)
    assert len({o.numpy().tobytes() for o in outs}) > 3


def test_without_a_random_part_a_draw_is_what_tests_see():
    frames = still().permute(0, 2, 3, 1).contiguous().numpy()
    for size in (None, 28, (32, 40)):
        out, flipped = augment(still(), recipe(size, gray=1e-12), SIDE, np.random.default_rng(0))
        assert not flipped and torch.equal(out, resize(frames, SIDE, how=Resizing(size)))


def test_a_crop_covers_what_it_may_and_all_of_it():
    rng = np.random.default_rng(0)
    boxes = [transforms._random_box(256, 320, (0.08, 1.0), rng) for _ in range(3000)]
    fitting = np.array([b for b in boxes if b])
    assert len(fitting) > 2990
    top, left, h, w = fitting.T
    share, ratio = h * w / (256 * 320), w / h
    assert share.min() < 0.09 and share.max() > 0.9 and (share > 0.079).all()
    assert ratio.min() > 0.73 and ratio.max() < 1.36 and 0.45 < (ratio > 1).mean() < 0.6
    assert top.min() == left.min() == 0 and (top + h).max() == 256 and (left + w).max() == 320
    other = np.array([transforms._slowfast(240, 320, (0.08, 1.0), rng) for _ in range(3000)])
    ratio = np.log(other[:, 3] / other[:, 2])
    assert abs(ratio.mean()) < 0.05 and 0.73 < np.exp(ratio.min()) < np.exp(ratio.max()) < 1.36


def test_frames_too_long_for_any_crop_still_give_one():
    rng = np.random.default_rng(0)
    assert transforms._random_box(4, 4000, (0.9, 1.0), rng) is None
    assert transforms._slowfast(30, 4000, (0.9, 1.0), rng) == (0, 1980, 30, 40)
    assert transforms._slowfast(4000, 30, (0.9, 1.0), rng) == (1980, 0, 40, 30)
    x = torch.zeros(1, 3, 24, 2400, dtype=torch.uint8)
    how = recipe(crop="side4video", scale=(0.9, 1.0))
    assert augment(x, how, SIDE, rng)[0].shape == (1, 3, SIDE, SIDE)


def test_crops_are_resized_as_pillow_does():
    """Side4Video's loader resizes with Pillow, ST-Adapter's as a tensor."""
    x, box = still(1, 64, 80), (3, 5, 50, 61)
    ours = transforms._resize_box(x, box, (SIDE, SIDE), "bilinear", antialias=True)
    image = Image.fromarray(x[0].permute(1, 2, 0).numpy()).crop((5, 3, 66, 53))
    pillow = np.array(image.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    assert (ours[0].permute(1, 2, 0).int() - torch.from_numpy(pillow).int()).abs().max() <= 1
    part = x[..., 3:53, 5:66].float()
    for how in ("bilinear", "bicubic"):
        ours = transforms._resize_box(x, box, (SIDE, SIDE), how)
        tensor = torch.nn.functional.interpolate(part, (SIDE, SIDE), mode=how).clamp(0, 255)
        assert (ours - tensor).abs().max() <= 1


def test_gray_is_pillows():
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 3, 30, 40), dtype=np.uint8))
    pillow = np.asarray(Image.fromarray(x[0].permute(1, 2, 0).numpy()).convert("L"))
    assert np.array_equal(gray(x)[0, 0].numpy(), pillow)
    out, _ = augment(x, recipe(gray=1.0), SIDE, np.random.default_rng(0))
    assert (out[:, :1] == out).all()


def test_a_share_of_clips_is_flipped_and_gray():
    draws = [
        augment(still(1), recipe(flip=0.5, gray=0.2), SIDE, np.random.default_rng(s))
        for s in range(600)
    ]
    colourless = [bool((x[:, :1] == x).all()) for x, _ in draws]
    assert np.mean([f for _, f in draws]) == pytest.approx(0.5, abs=0.08)
    assert np.mean(colourless) == pytest.approx(0.2, abs=0.07)
    plain = augment(still(1), recipe(flip=1e-12), SIDE, np.random.default_rng(0))[0]
    for (x, flipped), no_colour in zip(draws, colourless, strict=True):
        if not no_colour:
            assert torch.equal(x, plain.flip(-1) if flipped else plain)


def test_a_noise_of_colour_is_the_same_everywhere_and_follows_the_axes():
    x = torch.full((2, 3, 4, 5), 100, dtype=torch.uint8)
    for axis, spread in enumerate(transforms.SPREADS):
        out = lighting(x, np.eye(3)[axis])[0, :, 0, 0] - 100.0
        assert out.numpy() == pytest.approx(transforms.AXES[:, axis] * spread, abs=0.51)
    assert (transforms.AXES.T @ transforms.AXES).tolist() == pytest.approx(np.eye(3), abs=2e-3)
    how = recipe(lighting=0.1)
    draws = [augment(x, how, 4, np.random.default_rng(s))[0] for s in range(2000)]
    assert all((d == d[:1, :, :1, :1]).all() for d in draws)
    colours = np.array([d[0, :, 0, 0].numpy() - 100.0 for d in draws])
    spread = (0.1 * transforms.AXES * transforms.SPREADS) @ (
        0.1 * transforms.AXES * transforms.SPREADS
    ).T
    assert np.cov(colours.T) == pytest.approx(spread, abs=1.0)
    assert lighting(x + 150, np.array([-9.0, 0, 0])).max() == 255  # nothing wraps around


def test_a_share_of_clips_loses_a_rectangle_to_the_mean():
    x = still(2, 50, 60)
    ground = torch.tensor([round(255 * m) for m in MEAN]).view(3, 1, 1)
    assert normalise(ground[None].byte()).abs().max() < 0.005
    rng, areas, ratios = np.random.default_rng(0), [], []
    for _ in range(400):
        out = erase(x, rng)
        gone = (out != x).any(1)[0]
        top, left = gone.any(1).nonzero().flatten(), gone.any(0).nonzero().flatten()
        h, w = int(top[-1] - top[0] + 1), int(left[-1] - left[0] + 1)
        box = out[..., top[0] : top[-1] + 1, left[0] : left[-1] + 1]
        assert (box == ground).all() and torch.equal(out[0], out[1])
        areas.append(h * w / 3000)
        ratios.append(h / w)
    assert 0.01 < min(areas) < 0.05 and 0.3 < max(areas) < 0.35
    assert (
        0.25 < min(ratios) < 0.4
        and 2.5 < max(ratios) < 4
        and np.median(ratios) == pytest.approx(1, abs=0.15)
    )
    how = recipe(erase=0.25)
    plain = augment(still(1), recipe(erase=1e-12), SIDE, np.random.default_rng(0))[0]
    changed = [
        not torch.equal(augment(still(1), how, SIDE, np.random.default_rng(s))[0], plain)
        for s in range(600)
    ]
    assert np.mean(changed) == pytest.approx(0.25, abs=0.06)


def test_training_may_resize_before_the_crop_otherwise_than_tests_do():
    x, part = still(1, 48, 64), (0.4, 1.0)
    how = recipe(flip=0.5).model_copy(
        update={"augment": Augment(resize=28, crop="slowfast", scale=part)}
    )
    how = how.model_copy(update={"filter": "bilinear", "antialias": False})
    small = scaled(x, SIDE, Resizing(28, "bilinear", False))
    assert small.shape[-2:] == (28, 37)
    tested = resize(x.permute(0, 2, 3, 1).numpy(), SIDE, how=Resizing(None, "bilinear", False))
    wide = torch.nn.functional.interpolate(x, (24, 32), mode="bilinear")
    assert torch.equal(tested, wide[..., 4:28])
    for seed in range(20):
        out, _ = augment(x, how, SIDE, np.random.default_rng(seed))
        box = transforms._slowfast(28, 37, part, np.random.default_rng(seed))
        assert torch.equal(out, transforms._resize_box(small, box, (SIDE, SIDE), "bilinear"))


# --- in batches ---


def something(tmp_path: Path) -> list[records.Record]:
    """A Something-Something in small: 174 classes, of which the official code swaps three pairs."""
    swapped = {86: 87, 93: 94, 166: 167}
    swapped |= {b: a for a, b in swapped.items()}
    names = [f"class {k}" for k in range(174)]
    mirrored = {names[a]: names[b] for a, b in swapped.items()}
    import json

    (tmp_path / "manifest.json").write_text(json.dumps({"classes": names, "mirrored": mirrored}))
    videos.write(tmp_path / "v.mp4", frames=30, size=(40, 56))
    facts = {"video": "v.mp4", "frames": 30, "fps": 12, "seconds": 2.5, "captions": []}
    rows = [{"id": str(k), "label": names[k], **facts} for k in (0, 86, 87, 93, 94, 166, 167, 173)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return records.read(tmp_path, "train")


def test_a_flip_swaps_the_labels_of_left_and_right(tmp_path: Path):
    clips = Clips(something(tmp_path), recipe(flip=1.0), 4, SIDE, train=True, seed=0)
    labels = [clips[i]["label"] for i in range(len(clips))]
    assert labels == [0, 87, 86, 94, 93, 167, 166, 173]
    test = Clips(something(tmp_path), recipe(flip=1.0), 4, SIDE, train=False, seed=0)
    assert [test[i]["label"] for i in range(8)] == [0, 86, 87, 93, 94, 166, 167, 173]


def test_imgaug_mirrors_clips_and_leaves_their_labels(tmp_path: Path):
    """AIM's training: what its tests then see of left and right is as it was trained."""
    clips = Clips(something(tmp_path), recipe(imgaug="m0-n1"), 4, SIDE, train=True, seed=0)
    plain = Clips(something(tmp_path), recipe(flip=0.5), 4, SIDE, train=False, seed=0)
    still, seen = plain[0]["video"], set()
    for clips.epoch in range(12):
        items = [clips[i] for i in range(len(clips))]
        assert [item["label"] for item in items] == [0, 86, 87, 93, 94, 166, 167, 173]
        for item in items:
            seen |= {
                k for k, x in enumerate((still, still.flip(-1))) if torch.equal(item["video"], x)
            }
    assert seen == {0, 1}


def test_a_batch_holds_a_repeated_clip_side_by_side_with_the_same_frames(tmp_path: Path):
    how = recipe(flip=0.5, repeats=2)
    how = how.model_copy(update={"random_train_frames": True})
    clips = Clips(something(tmp_path), how, 4, SIDE, train=True, seed=0)
    batch = clips.__getitems__([3, 1, 2, 0])
    assert [one["index"] for one in batch] == [3, 3, 1, 1, 2, 2, 0, 0]
    differ = 0
    for a, b in zip(batch[::2], batch[1::2], strict=True):
        turned = not torch.equal(a["video"], b["video"])
        assert torch.equal(a["video"], b["video"].flip(-1) if turned else b["video"])
        assert (a["label"] != b["label"]) == (turned and a["label"] != 0)
        differ += turned
    assert 0 < differ < 4
    assert len(Clips(something(tmp_path), how, 4, SIDE, False, 0).__getitems__([0, 1])) == 2
    clips.epoch = 1
    assert any(
        not torch.equal(a["video"], b["video"])
        for a, b in zip(batch, clips.__getitems__([3, 1, 2, 0]), strict=True)
    )


# --- reading ---


@pytest.mark.parametrize(
    "bad, says",
    [
        ({"randaugment": "rand-m7-n4"}, "should match pattern"),
        ({"randaugment": "augmix-m3"}, "should match pattern"),
        ({"crop": "center"}, "side4video"),
        ({"scale": (0.5, 1.0), "flip": 0.5}, "give crop"),
        ({"crop": "jitter"}, "jitter expects 1 <= low"),
        ({"crop": "slowfast", "scale": (0.5, 1.5)}, "expected 0 < low <= high <= 1"),
        ({"flip": 1.5}, "less than or equal to 1"),
        ({"repeats": 0, "flip": 0.5}, "greater than 0"),
        ({"repeats": 2}, "changes nothing"),
        ({"grey": 0.2}, "Extra inputs"),
        ({"imgaug": "m31-n4"}, "should match pattern"),
        ({"imgaug": "m7-n19"}, "should match pattern"),
        ({"resize": 28, "flip": 0.5}, "resize: is before a crop of a share of the area"),
        ({"mixup": 0.8, "mix_switch": 0.4}, "mix_switch: is between mixup and cutmix"),
        ({"mixup": 0.0}, "greater than 0"),
    ],
)
def test_a_recipes_augmentation_is_read_strictly(bad: dict, says: str):
    with pytest.raises(ValidationError, match=says):
        Augment.model_validate(bad)


@pytest.mark.parametrize(
    "bad, says",
    [
        ({"augment": {"mixup": 0.8}}, "group: mixup and cutmix mix the clips of a group"),
        (
            {"augment": {"cutmix": 1.0}, "task": "retrieval", "group": 2},
            "which only recognition has",
        ),
        (
            {"augment": {"imgaug": "m7-n4"}, "task": "retrieval"},
            "mirrors clips whose captions stay",
        ),
    ],
)
def test_a_recipe_mixes_and_mirrors_only_what_it_can(bad: dict, says: str):
    good = recipe(flip=0.5).model_dump(mode="json")
    with pytest.raises(ValidationError, match=says):
        Recipe.model_validate({**good, **bad}, strict=False)
