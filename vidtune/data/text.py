"""Captions to token ids: [SOT] words [EOT] and then zeros; EOT is the largest id, as in CLIP.

Shapes: B captions, L positions.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from vidtune.data import bpe
from vidtune.motion.words import WORDS
from vidtune.remote import cache
from vidtune.spec import UserError

SOT = 1
IDS = {word: i for i, word in enumerate(WORDS, SOT + 1)}  # 0 is padding
EOT = SOT + 1 + len(WORDS)


def tokenizer(vocabulary: str, context: int) -> Callable[[list[str]], Tensor]:
    """Return a function from captions to a LongTensor (B, context); longer captions keep their EOT.

    Raises `UserError` where CLIP's vocabulary is not in the cache. The function raises it for a
    word outside the vocabulary motion.
    """
    if vocabulary == "clip-bpe":
        clip = bpe.load_bpe(cache.find(cache.CLIP_BPE))
        encode, start, end = clip.encode, bpe.SOT, bpe.EOT
    else:
        assert vocabulary == "motion"
        encode, start, end = _encode, SOT, EOT

    def tokens(captions: list[str]) -> Tensor:
        rows = torch.zeros(len(captions), context, dtype=torch.long)
        for row, caption in zip(rows, captions, strict=True):
            ids = [start, *islice(encode(caption), context - 2), end]
            row[: len(ids)] = torch.tensor(ids)
        return rows  # (B, L)

    return tokens


def _encode(caption: str) -> Iterator[int]:
    """Yield the ids of a generated caption's words."""
    for word in caption.lower().split():
        if word not in IDS:
            raise UserError(
                f"caption {caption!r}: {word!r} is not among the {len(WORDS)} words of the "
                f"vocabulary motion ({', '.join(WORDS)}); fix the caption"
            )
        yield IDS[word]
