"""Features of a model's frozen part, computed once and remembered for all epochs."""

import torch

from vidtune.data.batches import AT_ONCE, Batches, fits
from vidtune.nn.task import VideoModel


def remember(model: VideoModel, batches: Batches) -> bool:
    """Put the outputs of `model.prepare` in place of the clips, and say whether it was done.

    They are not remembered where tuned parameters reach them, where clips are not kept either, and
    where they would take too much room. `forward` takes them; clips go to `model.at_once`.
    """
    if not model.cacheable or batches.videos is None:
        return False
    parts = []
    for videos in batches.videos.split(AT_ONCE):
        features = model.prepare(batches.normalised(videos))
        parts.append(tuple(feature.cpu() for feature in features))
        bytes_per_item = sum(feature.nbytes for feature in parts[0]) // len(parts[0][0])
        if not fits(bytes_per_item * len(batches.videos)):
            return False
    batches.keep_features(tuple(torch.cat(column) for column in zip(*parts, strict=True)))
    return True
