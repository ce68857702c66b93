"""EVL as released: it keeps every layer's tensors, and its frozen weights are in half precision.

Shapes: B videos, T frames, P patches, D trunk width, H trunk heads, d channels of a trunk head.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from vidtune.cost import released


class Released(released.Released):
    frozen_in_half = True

    def at_once(self, video: Tensor) -> Tensor:
        return self.net.fc(self.net.decoder(self._taps(video)))

    def _taps(self, video: Tensor) -> Iterator[tuple[Tensor, ...]]:
        """Yield for each layer the tokens (B, T, P+1, D) and, where the decoder compares neighbouring
        frames, the patches' queries and keys (B, T, H, P, d).

        The frames are copied, as the released code copies its channels-first clip. Of every layer
        the queries, keys, values and both outputs are kept; of a layer that is read, also a copy
        of each in single precision.
        """
        net = self.net
        frames, kept = video.flatten(0, 1).clone(), []
        with torch.no_grad():
            x = net.clip.visual.embed(frames)
            for block in net.clip.visual.blocks:
                q, k, v = block.attn.qkv(block.ln_1(x))
                y = block.attn.mix(q, k, v, None, causal=False)
                x = x + y
                x = x + block.mlp(block.ln_2(x))
                kept.append((q, k, v, y, x))
            layers = [[t.float() for t in layer] for layer in kept[net.first :]]
        del kept, x, y, q, k, v
        for layer in layers:
            heads = [t[:, :, 1:] for t in layer[:2]] if net.with_heads else []
            # the decoder's additions take the place of the block's output
            yield tuple(t.unflatten(0, video.shape[:2]) for t in (layer.pop(), *heads))
