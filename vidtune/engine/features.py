"""Outputs of a frozen trunk, kept in place of the clips that they were computed of."""

from contextlib import closing

import torch

from vidtune.data import batches
from vidtune.data.batches import Batches
from vidtune.engine import ranks
from vidtune.engine.made import Told
from vidtune.engine.room import Room
from vidtune.nn.pixels import normalise
from vidtune.nn.task import VideoModel
from vidtune.progress import progress


def remember(model: VideoModel, data: Batches, told: Told | None = None) -> bool:
    """Put the outputs of `model.prepare` in place of the clips, and say whether they are there.

    Every video is decoded once, also where the clips themselves would take too much room. Outputs are
    not remembered where tuned parameters reach them, where clips differ between epochs, where they
    take too much room, and where `told` is set meanwhile. `forward` takes them; clips go to
    `model.at_once`.
    """
    if data.features is not None:  # by an earlier run, whose clips are shared
        return True
    if not (data.fixed and data.own and may_keep(model, data.clips.shape, data.device)):
        return False
    label, show = f"{data.run.name}: features", data.videos is None and ranks.rank() == 0
    parts, room = [], Room(data.device, label)
    with closing(data.videos_once()) as all_videos:
        for videos in progress(all_videos, -(-len(data.own) // batches.AT_ONCE), label, show):
            if told and told.is_set():
                return False
            parts.append(room.call(model.prepare, (videos,), {}))
    data.features = tuple(torch.cat(column) for column in zip(*parts, strict=True))
    data.videos = None
    return True


def may_keep(model: VideoModel, shape: tuple[int, ...], device: torch.device) -> bool:
    """Whether no tuned parameter reaches what `prepare` makes of videos (N, T, 3, S, S) that are the same
    in every epoch, and it takes no more than `KEEP`. Nothing is decoded."""
    if not model.cacheable:
        return False
    videos, *clip = shape
    one = model.prepare(normalise(torch.zeros(1, *clip, dtype=torch.uint8, device=device)))
    return videos * sum(feature.nbytes for feature in one) <= batches.KEEP
