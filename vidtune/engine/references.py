"""What is reached without a sense of order, in percent: the references of learned results.

- chance: an answer drawn at random;
- linear probe: the converged probe of the premise on averaged frame features;
- appearance oracle: knows what every clip shows and nothing of how it moves, and so ranks the clips
  of the right appearance first, in random order;
- zero-shot CLIP: the backbone as it is, the mean of frame features against the captions.

Of chance and the oracle these are expected values, exact for the test clips at hand.

Shapes: Q captions, V videos, E joint embedding.
"""

from collections import Counter
from collections.abc import Callable, Hashable
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from vidtune.data import records
from vidtune.data.records import Record
from vidtune.engine import metrics
from vidtune.nn.similarity import cosine

References = dict[str, dict[str, float]]  # of a reference: metric -> percent


def recognition(probe: dict[str, Any], classes: int) -> References:
    """References of recognition, of what `premise.probe` says (shares)."""
    return {
        "chance": {"top1": 100 / classes, "pair": 50.0},
        "linear probe": {"top1": 100 * probe["top1"], "pair": 100 * probe["within_pairs"]},
    }


def retrieval(clips: list[Record], text: Tensor, video: Tensor, owner: list[int]) -> References:
    """References of retrieval; caption q with features `text` (Q, E) describes clip `owner[q]`.

    `video` (V, E) are the mean features of the clips' frames.
    """
    sim = cosine(text, video)  # (Q, V)
    apart = records.twins(clips), "middle", records.galleries(clips)
    return {
        "chance": guessed(clips, lambda clip: clip.gallery),
        "appearance oracle": guessed(
            clips, lambda clip: (clip.gallery, *sorted(clip.appearance.items()))
        ),
        "zero-shot CLIP": metrics.retrieval(sim, torch.tensor(owner), *apart),
    }


def guessed(clips: list[Record], alike: Callable[[Record], Hashable]) -> dict[str, float]:
    """Expected recalls of captions that find the clips `alike` to their own, in random order."""
    groups = [alike(clip) for clip in clips for _ in clip.captions]
    size = Counter(alike(clip) for clip in clips)
    recall = {
        f"r{k}": 100 * fmean(min(k, size[g]) / size[g] for g in groups) for k in metrics.SUM_AT
    }
    return recall | {"rsum": sum(recall.values()), "pair": 50.0}
