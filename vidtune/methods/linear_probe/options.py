"""The options of Linear probe."""

from typing import ClassVar

from vidtune import spec


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("recognition",)
    archs: ClassVar[tuple[str, ...]] = ("clip", "eva")
