"""What a number was taken under: "batch 32; frames 8; precision amp16", as text and back.

Two measurements can be compared where these agree. Of what the paper does not state, frames are
taken from the variant, and precision from what its table assumes or from the recipe.
"""

import re
from collections.abc import Mapping
from typing import Any

from vidtune.plan import Plan
from vidtune.spec import Numbers

STATED = ("gpu", "batch", "frames", "precision")  # fields of `Numbers` that bear on a measurement
MEMORY = ("batch", "frames", "precision")  # what training memory depends on, besides the model


def format_conditions(given: Mapping[str, Any]) -> str:
    """Write the conditions that are known, as "batch 32; frames 8"."""
    return "; ".join(f"{k} {v}" for k, v in given.items() if v not in (None, ""))


def parse_conditions(text: str) -> dict[str, str]:
    """The inverse of `format_conditions`; every value is text."""
    pairs = (part.partition(" ") for part in text.split("; ") if part)
    return {key: value for key, _, value in pairs}


def stated_conditions(numbers: Numbers, row: str) -> dict[str, str]:
    """The conditions that a published table states of one of its rows."""
    under = numbers.under(row)
    values = {key: getattr(under, key) for key in STATED}
    return {key: str(value) for key, value in values.items() if value is not None}


def agree(key: str, one: str, other: str) -> bool:
    """Whether two conditions agree; GPUs by their model: "A100 80G", "NVIDIA A100-SXM4-80GB"."""
    if key != "gpu":
        return one == other
    models = [re.search(r"[A-Z]+ ?\d+\w*( (Ti|SUPER|Ada))*", text) for text in (one, other)]
    return None not in models and len({m[0].replace(" ", "") for m in models if m}) == 1


def required(plan: Plan, numbers: Numbers, variant: str) -> dict[str, str]:
    """The conditions that a measurement must share with the published one to be compared with it.

    Frames are as declared: where print has 8 frames of DiST, its model takes 16.
    """
    conditions = stated_conditions(numbers, variant.split("/")[1])
    v = plan.variants.get(variant)
    if v is None:
        return conditions
    assumed = numbers.under(v.name.split("/")[1]).assumed
    precision = assumed.precision if assumed else plan.config.recipes[v.recipe].computes_in
    return {"precision": precision, **conditions, "frames": str(v.frames)}
