"""ST-Adapter as released: its frozen weights are in half precision."""

from vidtune.cost import released


class Released(released.Released):
    frozen_in_half = True
