"""The options of LoRA."""

from typing import ClassVar

from vidtune import spec


class Options(spec.Options):
    tasks: ClassVar[tuple[str, ...]] = ("retrieval",)

    lora_rank: int = 8  # main.py:70
