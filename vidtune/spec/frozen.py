"""The base class of every spec, and the types that several specs share."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Task = Literal["recognition", "retrieval"]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
# amp16: float32 weights under autocast in float16; fp16: float16 weights
Precision = Literal["amp16", "fp32", "fp16"]
Attention = Literal["explicit", "fused", "memory-efficient"]


class Frozen(BaseModel):
    """Cannot be changed; rejects unknown keys; converts no type silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
