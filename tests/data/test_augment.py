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
from vidtune.data.transforms import augment, gray
from vidtune.spec import Recipe
from vidtune.spec.recipe import Augment

SIDE = 24


def recipe(resize: object = None, **augmented: object) -> Recipe:
    base = {"name": "r", "task": "recognition", "lr": 1.0, "weight_decay": 0.0, "batch": 2}
    more = {"epochs": 1, "sampler": "segments", "resize": resize, "augment": augmented}
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
    from vidtune.nn.pixels import resize

    frames = still().permute(0, 2, 3, 1).contiguous().numpy()
    for size in (None, 28, (32, 40)):
        out, flipped = augment(still(), recipe(size, gray=1e-12), SIDE, np.random.default_rng(0))
        assert not flipped and torch.equal(out, resize(frames, SIDE, size=size))


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
    ],
)
def test_a_recipes_augmentation_is_read_strictly(bad: dict, says: str):
    with pytest.raises(ValidationError, match=says):
        Augment.model_validate(bad)
