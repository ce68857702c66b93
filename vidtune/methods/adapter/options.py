from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("retrieval",)

    width: int = Field(default=8, ge=1)  # of the bottleneck, in both towers
