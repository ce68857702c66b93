"""The base class of every spec, and the types that several specs share."""

from collections.abc import Iterator
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(gt=0, le=10**9)]
# of a model or a picture: pixels, channels, layers, frames, words
Extent = Annotated[int, Field(gt=0, le=1 << 14)]
Bytes = Annotated[int, Field(gt=0, lt=1 << 62)]
Seed = Annotated[int, Field(ge=0, lt=10**9)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(pattern=r"\S")]  # that is not empty
Views = Annotated[str, Field(pattern=r"^(1|3)x[1-9]\d*$")]  # spatial crops x temporal clips
Task = Literal["recognition", "retrieval"]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
# amp16: float32 weights under autocast in float16; fp16: float16 weights
Precision = Literal["amp16", "fp32", "fp16"]
Attention = Literal["explicit", "fused", "memory-efficient"]


class Frozen(BaseModel):
    """Cannot be changed; rejects unknown keys; converts no type silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with fields that are valid one by one: "key: what to do"."""
        yield from ()

    @model_validator(mode="after")
    def _has_no_problem(self) -> Self:
        for problem in self.problems():
            raise ValueError(problem)
        return self
