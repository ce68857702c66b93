"""The base class of every spec, that of a method's options, and the types that several specs share."""

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Views = Annotated[str, Field(pattern=r"^(1|3)x[1-9]\d*$")]  # spatial crops x temporal clips
Task = Literal["recognition", "retrieval"]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
# amp16: float32 weights under autocast in float16; fp16: float16 weights
Precision = Literal["amp16", "fp32", "fp16"]
Attention = Literal["explicit", "fused", "memory-efficient"]

# How a scale maps an option of the declared backbone.
Mark = Literal["depth", "layers", "width", "tokens"]
Depth = Annotated[int, "depth"]  # a number of layers: scales with the trunk's depth
Layers = Annotated[tuple[int, ...], "layers"]  # 0-based layer indices: by fraction, kept distinct
Width = Annotated[int, "width"]  # channels: scale with the trunk's width, in multiples of 8
Tokens = Annotated[int, "tokens"]  # tokens removed: scale with the patches of a frame


class Frozen(BaseModel):
    """Cannot be changed; rejects unknown keys; converts no type silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with fields that are valid one by one: "key: what to do"."""
        yield from ()

    @model_validator(mode="after")
    def _has_no_problem(self) -> Self:
        for problem in self.problems():
            raise ValueError(problem)
        return self


class Options(Frozen):
    """Fields are the method's ablations, and their defaults are the paper's.

    A method's `options.py` imports pydantic, typing and vidtune.spec alone: the plan imports it,
    and never torch.
    """

    tasks: ClassVar[tuple[str, ...]] = ("recognition", "retrieval")
    archs: ClassVar[tuple[str, ...]] = ("clip",)  # backbones that it can tune
    reads_text: ClassVar[bool] = False  # whether recognition needs the text tower as well
