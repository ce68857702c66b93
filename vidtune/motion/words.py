"""The words of the generated clips: classes, attributes, captions, and the vocabulary.

Generated captions are made of these few words. (CLIP's tokenizer is used at full scale only.)
"""

from dataclasses import dataclass
from itertools import product

from vidtune.motion.render import COLOURS, SHAPES

# kind -> (forward, reversed): a clip of the second is a clip of the first played backwards
PAIRS = {
    "moving": ("moving right", "moving left"),
    "growing": ("growing", "shrinking"),
    "appearing": ("appearing", "vanishing"),
    "brightening": ("brightening", "darkening"),  # of the background
}
MOTIONS = tuple(name for pair in PAIRS.values() for name in pair)
PARTNER = {a: b for pair in PAIRS.values() for a, b in (pair, pair[::-1])}
MIRRORED = dict((PAIRS["moving"], PAIRS["moving"][::-1]))  # the classes that a flip swaps
# What a clip's caption says of every frame ...
ATTRIBUTES = {"colour": tuple(COLOURS), "shape": tuple(SHAPES)}
# ... and what changes within a clip: words of stills alone, split at a value of a frame's pose.
STATES = {
    "size": ("radius", 0.24, ("small", "large")),
    "light": ("alpha", 0.6, ("faint", "bright")),
    "ground": ("ground", 0.85, ("dark", "light")),
}
SEEN = {**ATTRIBUTES, **{name: words for name, (_, _, words) in STATES.items()}}


@dataclass(frozen=True)
class Appearance:
    """What every frame of a clip shows."""

    colour: str
    shape: str

    def caption(self, motion: str | None = None) -> str:
        doing = f" {motion}" if motion else ""
        return f"a {self.colour} {self.shape}{doing}"


def still_caption(colour: str, shape: str, size: str, light: str, ground: str) -> str:
    """What a still shows, in the order of `SEEN`."""
    return f"a {light} {size} {colour} {shape} on {ground}"


APPEARANCES = tuple(Appearance(*values) for values in product(*ATTRIBUTES.values()))
STILL_CAPTIONS = tuple(still_caption(*values) for values in product(*SEEN.values()))
WORDS = tuple(sorted(set(" ".join((*STILL_CAPTIONS, *MOTIONS)).split())))
