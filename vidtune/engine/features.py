"""Outputs of a frozen trunk, kept in place of the clips that they were computed of."""

import torch

from vidtune.data import batches
from vidtune.data.batches import Batches
from vidtune.nn.pixels import normalise
from vidtune.nn.task import VideoModel


def remember(model: VideoModel, data: Batches) -> bool:
    """Put the outputs of `model.prepare` in place of the clips, and say whether they are there.

    They are not remembered where tuned parameters reach them, where clips are not kept either, and
    where they would take too much room. `forward` takes them; clips go to `model.at_once`.
    """
    if data.features is not None:  # by an earlier run, whose clips are shared
        return True
    if not model.cacheable or data.videos is None or not len(data.videos):
        return False
    parts = []
    for videos in data.videos.split(batches.AT_ONCE):
        features = model.prepare(normalise(videos.to(data.device)))
        parts.append(tuple(feature.cpu() for feature in features))
        bytes_per_item = sum(feature.nbytes for feature in parts[0]) // len(parts[0][0])
        if bytes_per_item * len(data.videos) > batches.KEEP:
            return False
    data.features = tuple(torch.cat(column) for column in zip(*parts, strict=True))
    data.videos = None
    return True
