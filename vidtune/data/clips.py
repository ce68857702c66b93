"""Clips as a torch dataset: records -> sampled, decoded, resized frames. The same for all data.

Frames stay uint8 until they are on the device, where `normalise` makes CLIP's input of them.

Shapes: T frames, S pixels of the side.
"""

from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from vidtune.data.progress import progress
from vidtune.data.records import Record
from vidtune.data.sampling import PADDING, indices
from vidtune.data.video import read_frames
from vidtune.data.words import mirrored
from vidtune.spec import Recipe, UserError

MEAN = (0.48145466, 0.4578275, 0.40821073)  # openai/CLIP, of RGB in 0..1
STD = (0.26862954, 0.26130258, 0.27577711)


def resize(
    frames: NDArray[np.uint8],
    side: int,
    crop: int = 0,
    crops: int = 1,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """(T, H, W, 3) -> uint8 (T, 3, side, side): antialiased bicubic, then the centre.

    Before the crop frames have `size` (height, width), or `side` as their short side. Of three
    crops the first is the start of the longer side and the last its end.
    """
    x = torch.from_numpy(frames).permute(0, 3, 1, 2)  # (T, 3, H, W)
    height, width = x.shape[-2:]
    short = min(height, width)
    size = size or (max(side, height * side // short), max(side, width * side // short))
    if size != (height, width):
        x = F.interpolate(x, size=size, mode="bicubic", antialias=True)
    over = x.shape[-2] - side, x.shape[-1] - side
    at = [m // 2 for m in over]
    if crops == 3:
        longer = int(over[1] > over[0])
        at[longer] = over[longer] * crop // 2
    top, left = at
    return x[..., top : top + side, left : left + side].contiguous()  # (T, 3, S, S)


def normalise(video: Tensor) -> Tensor:
    """uint8 (..., 3, S, S) -> float of CLIP's mean and deviation, on the device of `video`."""
    mean = torch.tensor(MEAN, device=video.device).view(3, 1, 1)
    std = torch.tensor(STD, device=video.device).view(3, 1, 1)
    return (video.float() / 255 - mean) / std


class Clips(Dataset[dict[str, Any]]):
    """An item: `video` uint8 (T, 3, S, S), `label` (-1: unknown), `caption`, `index` of the record.

    `real` (T,) is false where the video had no frame left and the sampler pads with black.
    In retrieval training every caption of a record is an item of its own; otherwise `caption` is
    the first. Random choices depend on (seed, epoch, index) alone: set `epoch` before each one.
    `view` of a test's `views` = (crops, clips) runs over the clips of a crop first.
    """

    def __init__(
        self,
        records: list[Record],
        recipe: Recipe,
        frames: int,
        side: int,
        train: bool,
        seed: int,
        view: int = 0,
        views: tuple[int, int] = (1, 1),
    ) -> None:
        self.records, self.recipe = records, recipe
        self.frames, self.side, self.train, self.seed = frames, side, train, seed
        self.view, self.views = view, views
        if recipe.resize and min(recipe.resize) < side:
            raise UserError(
                f"recipe {recipe.name}: resize: expected at least the model's {side} pixels; "
                f"found {recipe.resize}"
            )
        self.epoch = 0
        unfold = train and recipe.task == "retrieval"
        self.items = [
            (i, c) for i, r in enumerate(records) for c in range(len(r.captions) if unfold else 1)
        ]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def deterministic(self) -> bool:
        """Whether items are the same in every epoch, so that what follows may be cached."""
        return not self.train or not (self.recipe.random_train_frames or self.recipe.augment)

    def __getitem__(self, index: int) -> dict[str, Any]:
        which, nth = self.items[index]
        record = self.records[which]
        rng = None
        if not self.deterministic:
            rng = np.random.default_rng([self.seed, self.epoch, index])
        take = self._take(record, rng)
        video = self._video(record, take)
        label, caption = record.label, record.captions[nth] if record.captions else ""
        if rng is not None and "flip" in self.recipe.augment and rng.random() < 0.5:
            video, label, caption = video.flip(-1), record.mirrored, mirrored(caption)
        return {
            "video": video,
            "label": -1 if label is None else label,
            "caption": caption,
            "real": torch.tensor([i != PADDING for i in take]),
            "index": which,
        }

    def real(self) -> Tensor:
        """(items, T): `real` of every item, nothing decoded."""
        assert self.deterministic
        takes = [self._take(self.records[i], None) for i, _ in self.items]
        return torch.tensor(takes) != PADDING

    def _take(self, record: Record, rng: Generator | None) -> list[int]:
        clip, clips = self.view % self.views[1], self.views[1]
        return indices(record.frames, record.fps, self.frames, self.recipe, rng, clip, clips)

    def _video(self, record: Record, take: list[int]) -> Tensor:
        """(T, 3, S, S)"""
        there = [i for i in take if i != PADDING]  # padding is always at the end
        frames = read_frames(record.path, there)
        crop, crops = self.view // self.views[1], self.views[0]
        video = resize(frames, self.side, crop, crops, self.recipe.resize)
        return torch.cat([video, video.new_zeros(len(take) - len(there), *video.shape[1:])])


def load(clips: Clips, label: str, show: bool = True) -> Tensor:
    """All videos of a deterministic split as one uint8 tensor (items, T, 3, S, S)."""
    assert clips.deterministic
    out = torch.empty(len(clips), clips.frames, 3, clips.side, clips.side, dtype=torch.uint8)
    last = None
    for i in progress(range(len(clips)), len(clips), label, show):
        same = last is not None and clips.items[i][0] == clips.items[last][0]
        out[i] = out[last] if same else clips[i]["video"]  # captions of one video come in a row
        last = i
    return out
