"""CLIP4Clip as released: the attention of both towers is packed."""

from vidtune.cost.released import base
from vidtune.nn.task import VideoModel


class Released(base.Released):
    def __init__(self, net: VideoModel) -> None:
        super().__init__(net)
        base.pack([*net.clip.visual.blocks, *net.clip.transformer.resblocks])
