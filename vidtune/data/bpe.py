"""CLIP's byte-level BPE (Radford et al., ICML 2021, arXiv:2103.00020; Sennrich et al., ACL 2016).

A word is a sequence of bytes. Of all adjacent pairs that the vocabulary knows, the one learned
first is joined, until none is left. Ids are numbered so: 256 bytes, the same bytes at the end of a
word, the joined pairs in the order of learning, start and end of text.

The vocabulary is a gzipped text. Its first line is a version; from the second on, each line is a
pair, such as the seventh, "th e</w>": `the` at the end of a word, id 518.

Checked against github.com/openai/CLIP at d05afc4 (clip/simple_tokenizer.py);
the tokenizers of CLIP4Clip, TempMe and Side4Video clean and join in the same way.
Modification: pairs are joined as ids, not as text.
"""

import gzip
import html
from functools import cache
from itertools import pairwise
from pathlib import Path

import ftfy
import regex

PAIRS = 48894  # the file has more; these fill the vocabulary
END = "</w>"  # marks the end of a word
SPECIAL = ("<|startoftext|>", "<|endoftext|>")
SOT, EOT = 512 + PAIRS, 512 + PAIRS + 1

# A word is a special token that the caption spells, a contraction, a run of letters, one digit, or
# a run of other visible characters.
_SPLIT = regex.compile(
    rf"{'|'.join(map(regex.escape, SPECIAL))}|'(?:[stmd]|re|ve|ll)|\p{{L}}+|\p{{N}}|[^\s\p{{L}}\p{{N}}]+",
    regex.IGNORECASE,
)
_PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
_BYTES = (*_PRINTABLE, *(b for b in range(256) if b not in _PRINTABLE))  # id -> byte
_ID = {b: i for i, b in enumerate(_BYTES)}


def clean_caption(text: str) -> str:
    """Repair Unicode, resolve entities, keep single spaces, make it lower case."""
    # ftfy resolves all levels of entities, but none where a text holds a "<": then two levels count
    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return regex.sub(r"\s+", " ", text.strip()).strip().lower()


class BPE:
    """Turns text into ids by the pairs of a vocabulary file."""

    def __init__(self, path: Path) -> None:
        lines = gzip.decompress(path.read_bytes()).decode("utf-8").split("\n")[1 : PAIRS + 1]
        # the file writes bytes that are not printable as characters from U+0100 on
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
        """Return ids without start and end of text."""
        return [i for word in _SPLIT.findall(clean_caption(text)) for i in self._word(word)]

    def _join(self, word: str) -> tuple[int, ...]:
        if word in SPECIAL:
            return (SOT + SPECIAL.index(word),)
        ids = [_ID[b] for b in word.encode("utf-8")]
        ids[-1] += 256
        while pairs := [self._joined[p] for p in pairwise(ids) if p in self._joined]:
            ids = self._replace(ids, min(pairs))  # the id says how early a pair was learned
        return tuple(ids)

    def _replace(self, ids: list[int], joined: int) -> list[int]:
        """Join every occurrence of the pair whose id is `joined`, from the left."""
        replaced: list[int] = []
        for i in ids:
            replaced.append(i)
            if len(replaced) > 1 and self._joined.get((replaced[-2], i)) == joined:
                replaced[-2:] = [joined]
        return replaced


load_bpe = cache(BPE)  # reads a vocabulary file once
