"""The options of the template: what a variant may set. This file imports no torch."""

from typing import ClassVar, Literal

from pydantic import Field

from vidtune import spec
from vidtune.spec import Width


class Options(spec.Options):
    # What the method serves: "recognition", "retrieval" or both.
    tasks: ClassVar[tuple[str, ...]] = ("recognition",)
    # The backbones that it can tune: "clip", "eva" or both.
    archs: ClassVar[tuple[str, ...]] = ("clip",)

    # Every ablation is a field, whose default is the paper's and whose comment names its source.
    # `Width` (channels), `Depth` (a number of layers), `Layers` (which layers) and `Tokens` say
    # how a smaller scale maps the value; an `int` stays as it is.
    width: Width = Field(default=96, ge=1)  # of the bottleneck; Section 3
    activation: Literal["gelu", "relu"] = "gelu"  # Table 2
