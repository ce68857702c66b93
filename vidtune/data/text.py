"""Words -> token ids: [SOT] words [EOT], zeros behind; EOT is the largest id, as in CLIP.

Shapes: B captions, L places.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from vidtune.data.words import WORDS
from vidtune.spec import UserError

SOT = 1
IDS = {word: i for i, word in enumerate(WORDS, SOT + 1)}  # 0 is padding
EOT = SOT + 1 + len(WORDS)
VOCAB_SIZE = EOT + 1

Tokenizer = Callable[[list[str]], Tensor]


def tokenizer(vocabulary: str, context: int) -> Tokenizer:
    """A function from captions to LongTensor (B, context); longer captions keep their EOT.

    It raises `UserError` for a word outside the vocabulary.
    """
    if vocabulary == "clip-bpe":
        raise UserError(
            "vocabulary clip-bpe: CLIP's tokenizer is not part of this version (full scale); "
            "choose a backbone with vocabulary motion"
        )
    assert vocabulary == "motion"

    def tokens(captions: list[str]) -> Tensor:
        out = torch.zeros(len(captions), context, dtype=torch.long)
        for row, caption in zip(out, captions, strict=True):
            ids = [
                SOT,
                *(_id(word, caption) for word in caption.lower().split()[: context - 2]),
                EOT,
            ]
            row[: len(ids)] = torch.tensor(ids)
        return out  # (B, L)

    return tokens


def _id(word: str, caption: str) -> int:
    try:
        return IDS[word]
    except KeyError:
        raise UserError(
            f"caption {caption!r}: {word!r} is not among the {len(WORDS)} words of the vocabulary "
            f"motion ({', '.join(WORDS)}); mend the caption"
        ) from None
