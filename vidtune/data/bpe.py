"""CLIP's byte-level BPE (Radford et al., ICML 2021, arXiv:2103.00020; Sennrich et al., ACL 2016).

A word is a sequence of bytes; the adjacent pair that was learned first is joined, until none is
left. Ids: 256 bytes, the same bytes at the end of a word, the joined pairs as they were learned,
start and end of text. Checked against github.com/openai/CLIP at d05afc4 (clip/simple_tokenizer.py);
the tokenizers of CLIP4Clip, TempMe and Side4Video clean and join in the same way.
Modifications: pairs are joined as ids, not as text.
"""

import gzip
import html
from functools import cache
from itertools import pairwise
from pathlib import Path

import ftfy
import regex

PAIRS = 48894  # of those in the file, as many as fill the vocabulary
END = "</w>"  # of a word
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
SOT, EOT = 512 + PAIRS, 512 + PAIRS + 1

# A caption may spell the special tokens; apart from them: contractions, letters, one digit, and
# runs of anything else that is visible.
_SPLIT = regex.compile(
    rf"{'|'.join(map(regex.escape, SPECIAL))}|'(?:[stmd]|re|ve|ll)|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+",
    regex.IGNORECASE,
)
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_BYTES = (*_PRINTABLE, *(b for b in range(256) if b not in _PRINTABLE))  # id -> byte


def clean(text: str) -> str:
    """Mended Unicode, entities resolved, single spaces, lower case."""
    # ftfy resolves entities to the last, but none where a text holds a "<": there two levels count
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return regex.sub(r"\s+", " ", text.strip()).strip().lower()


class BPE:
    """Text -> ids, by the pairs of a vocabulary file."""

    def __init__(self, path: Path) -> None:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : PAIRS + 1]
        # the file writes a byte that is not printable as a character from U+0100 on
        others = 256 - len(_PRINTABLE)
        letters = [*map(chr, _PRINTABLE), *(chr(0x100 + i) for i in range(others))]
        ids = {symbol: i for i, symbol in enumerate([*letters, *(c + END for c in letters)])}
        self._joined: dict[tuple[int, int], int] = {}
        for joined, line in enumerate(lines, 512):
            left, right = line.split()
            self._joined[ids[left], ids[right]] = joined
            ids[left + right] = joined
        self._word = cache(self._join)

    def encode(self, text: str) -> list[int]:
        """Ids without start and end of text."""
        return [i for word in _SPLIT.findall(clean(text)) for i in self._word(word)]

    def _join(self, word: str) -> tuple[int, ...]:
        if word in SPECIAL:
            return (SOT + SPECIAL.index(word),)
        ids = [_ID[b] for b in word.encode("utf-8")]
        ids[-1] += 256
        while pairs := [self._joined[p] for p in pairwise(ids) if p in self._joined]:
            ids = self._replace(ids, min(pairs))  # the id says how early a pair was learned
        return tuple(ids)

    def _replace(self, ids: list[int], joined: int) -> list[int]:
        """Every occurrence of a pair, from the left."""
        out: list[int] = []
        for i in ids:
            out.append(i)
            if len(out) > 1 and self._joined.get((out[-2], i)) == joined:
                out[-2:] = [joined]
        return out


_ID = {b: i for i, b in enumerate(_BYTES)}


@cache
def load(path: Path) -> BPE:
    """The tokenizer of a vocabulary file, read once."""
    return BPE(path)
