"""The words of the generated clips: classes, attributes, captions, and the vocabulary.

Generated captions are made of these few words. (CLIP's tokenizer is used at full scale only.)
"""

from dataclasses import dataclass
from itertools import product

from vidtune.motion.render import BACKGROUNDS, COLOURS, SHAPES, SIZES

# (forward, reversed): a clip of the second is a clip of the first played backwards
PAIRS = (
    ("moving right", "moving left"),
    ("moving down", "moving up"),
    ("growing", "shrinking"),
    ("appearing", "vanishing"),
)
MOTIONS = tuple(name for pair in PAIRS for name in pair)
PARTNER = {a: b for pair in PAIRS for a, b in (pair, pair[::-1])}
MIRRORED = dict((PAIRS[0], PAIRS[0][::-1]))  # the classes that a horizontal flip swaps
ATTRIBUTES = {
    "size": tuple(SIZES),
    "colour": tuple(COLOURS),
    "shape": tuple(SHAPES),
    "background": tuple(BACKGROUNDS),
}


@dataclass(frozen=True)
class Appearance:
    """What every single frame shows."""

    size: str
    colour: str
    shape: str
    background: str

    def caption(self, motion: str | None = None) -> str:
        doing = f" {motion}" if motion else ""
        return f"a {self.size} {self.colour} {self.shape}{doing} on a {self.background} background"


APPEARANCES = tuple(Appearance(*values) for values in product(*ATTRIBUTES.values()))
_PHRASES = ("a on background", *MOTIONS, *(word for words in ATTRIBUTES.values() for word in words))
WORDS = tuple(sorted(set(" ".join(_PHRASES).split())))
