from typing import Literal

from pydantic import Field

from vidtune import spec


class Options(spec.Options):
    tasks = ("recognition",)

    # Adapters of the attention over time: after it (1), or before it as well (2). 2 on SSv2 with B/16
    # (configs/recognition/vit/vitclip_base_sthv2.py:6); one elsewhere, also with L/14 on SSv2, but
    # only two have the parameters that Side4Video's Table 2 prints for L/14.
    temporal_adapters: Literal[1, 2] = 2
    # Of the adapter beside the MLP: 1 on SSv2 (vitclip_*_sthv2.py:6), 0.5 on the other data sets.
    scale: float = 1.0
    ratio: float = Field(default=0.25, gt=0)  # an adapter's inner width to D (vit_clip.py:15)
    drop_path: float = Field(default=0.2, ge=0, lt=1)  # in the last block (every vitclip_*.py)
    dropout: float = Field(default=0.5, ge=0, lt=1)  # before the classifier (vitclip_base.py:18)
