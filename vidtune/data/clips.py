"""Clips as a torch dataset: records -> sampled, decoded, resized frames. The same for all data.

Frames stay uint8 until they are on the device, where `normalise` turns them into CLIP's input.

Shapes: T frames, S pixels of the side.
"""

import errno
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from vidtune.data.records import Record
from vidtune.data.sampling import PADDING, Rng, indices
from vidtune.data.transforms import augment, resizing
from vidtune.data.video import own_cores, read_frames
from vidtune.nn.pixels import centre, planes, scaled
from vidtune.progress import progress
from vidtune.spec import Recipe, UserError

REPLACEMENTS = 10  # clips tried in place of a broken one
# What a network file system says while its server is away, and the seconds that are waited for it, two
# minutes in all: such an error is not the video's, and would end every training at once.
PASSING = tuple(map(os.strerror, (errno.EIO, errno.ESTALE, errno.ETIMEDOUT)))
PAUSES = (1, 4, 15, 40, 60)


@dataclass(eq=False)
class Clips(Dataset[dict[str, Any]]):
    """An item: `video` uint8 (T, 3, S, S), `label` (-1: unknown), `caption`, `index` of the record.

    `real`, a list of T, is false where the video had no frame left and the sampler pads with black frames.
    In retrieval training every caption of a record is an item of its own; otherwise `caption` is
    the first one. Random choices depend on (seed, epoch, index) alone: set `epoch` before each one.
    A batch (`__getitems__`) holds an item as often as the recipe repeats it, in tests once for each of
    the `views` = (crops, clips), all clips of the first crop first; a video is decoded once for all.
    A video that cannot be decoded is a `UserError`, or, where a training's recipe says so, is
    replaced by another item, which is marked `replaced`.
    A flip changes label and caption to the record's mirrored ones. Retrieval training refuses to
    flip clips without a label, since nothing declares how their captions are mirrored.
    """

    records: list[Record]
    recipe: Recipe
    frames: int
    side: int
    train: bool
    seed: int
    views: tuple[int, int] = (1, 1)
    epoch: int = 0
    threads: int = 1  # of a decoder

    def __post_init__(self) -> None:
        recipe = self.recipe
        changed = recipe.augment and recipe.augment.resize
        for key, size in (("resize", recipe.resize), ("augment.resize", changed)):
            if size and np.min(size) < self.side:
                raise UserError(
                    f"recipe {recipe.name}: {key}: expected at least the model's {self.side} pixels; "
                    f"found {size}"
                )
        unfold = self.train and recipe.task == "retrieval"
        flips = unfold and recipe.augment and recipe.augment.flip
        if flips and any(r.label is None for r in self.records):
            raise UserError(
                f"recipe {recipe.name}: augment: flip: expected clips with a class, whose mirror "
                "image the dataset declares (mirrored); found captions alone, in which left and "
                "right would be wrong after a flip; drop flip"
            )
        captions = [len(r.captions) if unfold else 1 for r in self.records]
        self.items = [(i, c) for i, n in enumerate(captions) for c in range(n)]

    def __len__(self) -> int:
        return len(self.items)

    @property
    def shape(self) -> tuple[int, ...]:
        """(records, T, 3, S, S)"""
        return len(self.records), self.frames, 3, self.side, self.side

    @property
    def firsts(self) -> list[int]:
        """The first item of every record, whose other items have the same frames if `deterministic`."""
        return [item for item, (_, nth) in enumerate(self.items) if nth == 0]

    @property
    def copies(self) -> int:
        """How often a batch holds each item."""
        if not self.train:
            return self.views[0] * self.views[1]
        return self.recipe.augment.repeats if self.recipe.augment else 1

    @property
    def deterministic(self) -> bool:
        """Whether items are the same in every epoch, so that results computed of them may be kept."""
        r = self.recipe
        return not self.train or not (r.random_train_frames or r.augment or r.on_broken != "error")

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.__getitems__([index])[0]

    def __getitems__(self, items: list[int]) -> list[dict[str, Any]]:
        return [copy for index in items for copy in self._read_or_replace(index)]

    def _read_or_replace(self, index: int) -> list[dict[str, Any]]:
        seed, pauses = [self.seed, self.epoch, index], iter(PAUSES)
        while True:
            rng = None if self.deterministic else np.random.default_rng(seed)
            try:
                return self._read_copies(index, rng, replaced=False)
            except UserError as e:
                if any(words in str(e) for words in PASSING) and (pause := next(pauses, None)):
                    time.sleep(pause)
                    continue
                if rng is None or self.recipe.on_broken == "error":
                    raise
                for other in rng.integers(len(self), size=REPLACEMENTS).tolist():
                    with suppress(UserError):
                        return self._read_copies(other, rng, replaced=True)
                raise

    def _read_copies(self, index: int, rng: Rng, replaced: bool) -> list[dict[str, Any]]:
        """Decode an item once, and augment each copy anew or cut each view."""
        which, nth = self.items[index]
        record = self.records[which]
        taken = [self._sample(record, rng, clip) for clip in range(self.views[1])]
        # padding is always at the end
        wanted = [[i for i in frames if i != PADDING] for frames in taken]
        read = read_frames(record.path, [i for frames in wanted for i in frames], self.threads)
        clips = np.split(read, np.cumsum([len(frames) for frames in wanted])[:-1])
        items = []
        for copy, (video, flipped) in enumerate(self._to_inputs(clips, rng)):
            label = record.mirrored if flipped else record.label
            captions = record.mirrored_captions if flipped else record.captions
            real = [i != PADDING for i in taken[copy % len(taken)]]
            black = video.new_zeros(len(real) - len(video), *video.shape[1:])
            item = {
                "video": torch.cat([video, black]),
                "label": -1 if label is None else label,
                "caption": captions[nth] if captions else "",
                "real": real,
                "index": which,
                "replaced": replaced and copy == 0,
            }
            items.append(item)
        return items

    def real(self) -> Tensor:
        """Return (records, T): `real` of every record; nothing is decoded."""
        assert self.deterministic
        taken = [self._sample(record, None, 0) for record in self.records]
        return torch.tensor(taken) != PADDING

    def _sample(self, record: Record, rng: Rng, clip: int) -> list[int]:
        clips = self.views[1]
        return indices(record.frames, record.fps, self.frames, self.recipe, rng, clip, clips)

    def _to_inputs(self, clips: list[NDArray[np.uint8]], rng: Rng) -> Iterator[tuple[Tensor, bool]]:
        """Yield (video (T, 3, S, S), whether it is flipped) for each copy."""
        if rng is not None and self.recipe.augment:
            for _ in range(self.copies):
                yield augment(planes(clips[0]), self.recipe, self.side, rng)
            return
        how, crops = resizing(self.recipe), self.views[0]
        whole = [scaled(planes(frames), self.side, how) for frames in clips]
        for crop in range(crops):
            for video in whole:
                yield centre(video, self.side, crop, crops, how), False


def read_all(clips: Clips, label: str) -> Tensor:
    """Read all videos of a deterministic split into one uint8 tensor (records, T, 3, S, S)."""
    assert clips.deterministic and clips.copies == 1
    videos = torch.empty(clips.shape, dtype=torch.uint8)

    def fill(item: int) -> None:
        videos[clips.items[item][0]] = clips[item]["video"]

    with ThreadPoolExecutor(own_cores()) as pool:  # FFmpeg and torch work without Python's lock
        try:
            for _ in progress(pool.map(fill, clips.firsts), len(videos), label):
                pass
        except BaseException:  # a signal or a broken video: the rest is not read
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return videos
