"""What every noun is: frozen and strict; and the numbers that several share."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Task = Literal["recognition", "retrieval"]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Frozen(BaseModel):
    """Frozen; unknown keys are errors; no silent conversion between types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
