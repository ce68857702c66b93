"""Models that keep in memory what their methods' released code keeps; outputs stay equal.

Ours keep less. A prediction that is compared with a printed number (`vidtune.cost.predict_memory`) runs a
method through its module of this folder, which defines `Released`; a method without one keeps what
ours keeps.
"""

from importlib import import_module
from importlib.util import find_spec

from vidtune.cost.released.base import Released
from vidtune.nn.task import VideoModel


def as_released(net: VideoModel, method: str) -> Released:
    """A net as its method's released code holds it. May change how the net itself runs."""
    name = f"{__name__}.{method}"
    return (import_module(name).Released if find_spec(name) else Released)(net)


__all__ = ["Released", "as_released"]
