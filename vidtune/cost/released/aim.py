"""AIM as released: its frozen attention is packed."""

from vidtune.cost import released
from vidtune.nn.task import VideoModel


class Released(released.Released):
    def __init__(self, net: VideoModel) -> None:
        super().__init__(net)
        released.pack(net.clip.visual.blocks)
