"""The options of the template: what a variant may set. This file imports no torch."""

from typing import Literal

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    # What the method serves: "recognition", "retrieval" or both.
    tasks = ("recognition",)
    # The backbones that it can tune: "clip", "eva" or both.
    archs = ("clip",)

    # Every ablation is a field, whose default is the paper's and whose comment names its source.
    # `Width` (channels), `Depth` (a number of layers), `Layers` (which layers) and `Tokens` say
    # how a smaller scale maps the value; an `int` stays as it is.
    width: spec.Width = Field(default=96, ge=1)  # of the bottleneck; Section 3
    activation: Literal["gelu", "relu"] = "gelu"  # Table 2
