from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("recognition",)

    # The last n layers of the trunk feed as many decoder layers. 4 in the released scripts
    # (Kinetics-400); 12 on SSV2 with ViT-B/16, say the authors (issue 4 of their repository).
    layers: spec.Depth = 12  # main.py:58
    # The decoder's queries, keys and values; 0: the trunk's. main.py:60
    width: spec.Width = Field(default=0, ge=0)
    # Of the decoder; 0: one per 64 channels of `width`. main.py:62
    heads: int = Field(default=0, ge=0)
    mlp_ratio: float = Field(default=4.0, gt=0)  # main.py:64
    # The local temporal module: what a decoder layer adds to the tokens it reads.
    temporal_conv: bool = True  # main.py:72
    temporal_pos_embed: bool = True  # main.py:74
    temporal_cross_attention: bool = True  # main.py:76
    mlp_dropout: float = Field(default=0.5, ge=0, lt=1)  # main.py:70
    cls_dropout: float = Field(default=0.5, ge=0, lt=1)  # main.py:68
