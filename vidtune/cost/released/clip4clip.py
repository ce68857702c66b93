"""CLIP4Clip as released: the attention of both towers is packed."""

from vidtune.cost import released
from vidtune.nn.task import VideoModel


class Released(released.Released):
    def __init__(self, net: VideoModel) -> None:
        super().__init__(net)
        released.pack([*net.clip.visual.blocks, *net.clip.transformer.resblocks])
