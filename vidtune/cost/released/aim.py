"""AIM as released: its frozen attention is packed."""

from vidtune.cost.released import base
from vidtune.nn.task import VideoModel


class Released(base.Released):
    def __init__(self, net: VideoModel) -> None:
        super().__init__(net)
        base.pack(net.clip.visual.blocks)
