"""Clips as a torch dataset: records -> sampled, decoded, resized frames. The same for all data.

Frames stay uint8 until they are on the device, where `normalise` makes CLIP's input of them.

Shapes: T frames, S pixels of the side.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from vidtune.data.records import Record
from vidtune.data.sampling import PADDING, indices
from vidtune.data.transforms import changed
from vidtune.data.video import cores, read_frames
from vidtune.motion.words import mirrored
from vidtune.nn.pixels import planes, resize
from vidtune.progress import progress
from vidtune.spec import Recipe, UserError

REPLACEMENTS = 10  # that are tried in place of a broken video


class Clips(Dataset[dict[str, Any]]):
    """An item: `video` uint8 (T, 3, S, S), `label` (-1: unknown), `caption`, `index` of the record.

    `real` (T,) is false where the video had no frame left and the sampler pads with black.
    In retrieval training every caption of a record is an item of its own; otherwise `caption` is
    the first. Random choices depend on (seed, epoch, index) alone: set `epoch` before each one.
    A batch (`__getitems__`) holds an item as often as the recipe repeats it.
    A video that cannot be decoded is a `UserError`, or, where a training's recipe says so, another
    item in its place that says `replaced`.
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
        if recipe.resize and np.min(recipe.resize) < side:
            raise UserError(
                f"recipe {recipe.name}: resize: expected at least the model's {side} pixels; "
                f"found {recipe.resize}"
            )
        self.epoch = 0
        self.threads = 1  # of a decoder
        unfold = train and recipe.task == "retrieval"
        self.items = [
            (i, c) for i, r in enumerate(records) for c in range(len(r.captions) if unfold else 1)
        ]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def repeats(self) -> int:
        """How often a batch holds an item."""
        return self.recipe.augment.repeats if self.train and self.recipe.augment else 1

    @property
    def deterministic(self) -> bool:
        """Whether items are the same in every epoch, so that what follows may be cached."""
        r = self.recipe
        return not self.train or not (r.random_train_frames or r.augment or r.on_broken != "error")

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[dict[str, Any]]:
        """What the batch of these items holds; copies of one stand side by side."""
        return [one for index in indices for one in self._copies(index)]

    def _copies(self, index: int) -> list[dict[str, Any]]:
        rng = None
        if not self.deterministic:
            rng = np.random.default_rng([self.seed, self.epoch, index])
        try:
            return self._draws(index, rng, replaced=False)
        except UserError:
            if rng is None or self.recipe.on_broken == "error":
                raise
            for other in rng.integers(len(self), size=REPLACEMENTS).tolist():
                with suppress(UserError):
                    return self._draws(other, rng, replaced=True)
            raise

    def _draws(self, index: int, rng: Generator | None, replaced: bool) -> list[dict[str, Any]]:
        """The same frames, each time changed anew."""
        which, nth = self.items[index]
        record = self.records[which]
        take = self._take(record, rng)
        there = [i for i in take if i != PADDING]  # padding is always at the end
        frames = read_frames(record.path, there, self.threads)
        out = []
        for copy in range(self.repeats):
            video, flipped = self._video(frames, rng)
            label, caption = record.label, record.captions[nth] if record.captions else ""
            if flipped:
                label, caption = record.mirrored, mirrored(caption)
            black = video.new_zeros(len(take) - len(there), *video.shape[1:])
            one = {
                "video": torch.cat([video, black]),
                "label": -1 if label is None else label,
                "caption": caption,
                "real": torch.tensor([i != PADDING for i in take]),
                "index": which,
                "replaced": replaced and copy == 0,
            }
            out.append(one)
        return out

    def real(self) -> Tensor:
        """(items, T): `real` of every item, nothing decoded."""
        assert self.deterministic
        takes = [self._take(self.records[i], None) for i, _ in self.items]
        return torch.tensor(takes) != PADDING

    def _take(self, record: Record, rng: Generator | None) -> list[int]:
        clip, clips = self.view % self.views[1], self.views[1]
        return indices(record.frames, record.fps, self.frames, self.recipe, rng, clip, clips)

    def _video(self, frames: NDArray[np.uint8], rng: Generator | None) -> tuple[Tensor, bool]:
        """((T, 3, S, S), whether it is flipped)"""
        if rng is not None and self.recipe.augment:
            return changed(planes(frames), self.recipe, self.side, rng)
        crop, crops = self.view // self.views[1], self.views[0]
        return resize(frames, self.side, crop, crops, self.recipe.resize), False


def load(clips: Clips, label: str, show: bool = True) -> Tensor:
    """All videos of a deterministic split as one uint8 tensor (items, T, 3, S, S)."""
    assert clips.deterministic
    out = torch.empty(len(clips), clips.frames, 3, clips.side, clips.side, dtype=torch.uint8)
    items: dict[int, list[int]] = {}  # captions of one video share it
    for i, (which, _) in enumerate(clips.items):
        items.setdefault(which, []).append(i)

    def read(same: list[int]) -> None:
        out[same] = clips[same[0]]["video"]

    with ThreadPoolExecutor(cores()) as pool:  # FFmpeg and torch work without Python's lock
        for _ in progress(pool.map(read, items.values()), len(items), label, show):
            pass
    return out
