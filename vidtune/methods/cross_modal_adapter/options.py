from typing import Literal

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    width: int = Field(default=8, ge=1)  # C
    shared: int = Field(default=16, ge=0)  # s; 0: the towers' adapters share nothing
    # "text": each text weighs the frames by a softmax of their products with it. "mean": all
    # frames count the same; the released code averages what it has not normalised.
    pool: Literal["text", "mean"] = "text"
    temperature: float = Field(default=5.0, gt=0)  # of that softmax
