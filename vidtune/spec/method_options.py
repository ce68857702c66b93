"""The base class of every method's options, and the marks by which a scale maps them.

A method's `options.py` imports pydantic, typing and this package alone: the plan imports it, and
never torch.
"""

from typing import Annotated, ClassVar, Literal

from vidtune.spec.frozen import Frozen

Mark = Literal["depth", "layers", "width", "tokens", "joins"]
Depth = Annotated[int, "depth"]  # a number of layers: scales with the trunk's depth
Layers = Annotated[tuple[int, ...], "layers"]  # 0-based layer indices: by fraction, kept distinct
Width = Annotated[int, "width"]  # channels: scale with the trunk's width, in multiples of 8
Tokens = Annotated[int, "tokens"]  # tokens removed: scale with the patches of a frame
Joins = Annotated[tuple[int, ...], "joins"]  # frames that become one: follow the share of frames


class Options(Frozen):
    """Fields are the method's ablations, and their defaults are the paper's."""

    tasks: ClassVar[tuple[str, ...]] = ("recognition", "retrieval")
    archs: ClassVar[tuple[str, ...]] = ("clip",)  # backbones that it can tune
    reads_text: ClassVar[bool] = False  # whether recognition needs the text tower as well
