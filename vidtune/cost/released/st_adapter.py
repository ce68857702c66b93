"""ST-Adapter as released: its frozen weights are in half precision."""

from vidtune.cost.released import base


class Released(base.Released):
    frozen_in_half = True
