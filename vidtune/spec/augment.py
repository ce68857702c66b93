"""What is changed at random in training clips."""

from typing import Literal

from pydantic import Field, model_validator

from vidtune.spec.base import Count, Frozen, Share

RANDAUGMENT = r"^rand-m(\d+(?:\.\d+)?)-n([1-9]\d*)(?:-mstd(\d+(?:\.\d+)?))?-inc1$"


class Augment(Frozen):
    """In this order, alike for all frames of a clip; vidtune/data/transforms.py says what each does."""

    randaugment: str | None = Field(default=None, pattern=RANDAUGMENT)
    crop: Literal["side4video", "slowfast", "jitter"] | None = None  # None: the centre
    # share of the area that a crop covers; jitter: how much larger than the crop frames become
    scale: tuple[float, float] = (0.08, 1.0)
    filter: Literal["bilinear", "bicubic"] = "bilinear"  # of the crop's resizing
    flip: Share = 0.0  # how often
    gray: Share = 0.0  # how often
    repeats: Count = 1  # a batch holds every clip so often, each time changed anew

    @model_validator(mode="after")
    def _consistent(self) -> "Augment":
        low, high = self.scale
        if self.crop == "jitter":
            if not 1 <= low <= high:
                raise ValueError(f"scale: jitter expects 1 <= low <= high; found {low}, {high}")
        elif not 0 < low <= high <= 1:
            raise ValueError(f"scale: expected 0 < low <= high <= 1; found {low}, {high}")
        if self.crop is None and self.model_fields_set & {"scale", "filter"}:
            raise ValueError("scale, filter: are of a random crop; give crop or drop them")
        if not (self.randaugment or self.crop or self.flip or self.gray):
            raise ValueError("changes nothing; give randaugment, crop, flip or gray, or drop it")
        return self
