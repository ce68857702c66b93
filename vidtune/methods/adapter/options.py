"""The options of Bottleneck adapters."""

from typing import ClassVar

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("retrieval",)

    width: int = Field(default=8, ge=1)  # of the bottleneck, in both towers
