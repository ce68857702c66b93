"""A metric: what a column holds, and how it is judged."""

from typing import Literal

from vidtune.spec.frozen import Frozen

# How a number was obtained; a "setting" was chosen, and only has to be the same.
Kind = Literal["counted", "predicted", "measured", "learned", "setting"]


class Metric(Frozen):
    """The unit of a column, which way is better, how it is printed and judged.

    `within` (a share) and `digits` judge counted numbers: a match is inside `within` of print,
    or inside one unit of its last printed digit where `within` is None.
    `noise` is the spread (one standard deviation) a published learned number is assumed to have.
    `beside` are the measured metrics that a predicted one stands beside, under its label's first
    word.
    """

    name: str
    label: str
    unit: str
    better: Literal["higher", "lower"]
    kind: Kind
    digits: int
    within: float | None = None
    noise: float | None = None
    scale: float = 1.0  # raw value x scale = value in `unit`
    beside: tuple[str, ...] = ()
    source: str | None = None
