"""DiST as released: it keeps tokens that nothing reads any more.

Shapes: B videos, F frames, T = F / alpha frames of the trunk, P patches, D trunk width.
"""

import torch
from torch import Tensor

from vidtune.cost import released


class Released(released.Released):
    def at_once(self, video: Tensor) -> Tensor:
        """Frames are a copy of a clip whose channels come first; the tokens before the first block
        are kept, both of all frames and of the trunk's; as tokens lie sequence first, each
        projection of a tap copies it."""
        net = self.net
        frames = video.clone()
        with torch.no_grad():
            every = net.clip.visual.embed(frames.flatten(0, 1))  # (B*F, P+1, D)
        kept = (every, every[:: net.alpha].clone())
        _, *taps = net.prepare(frames)
        taps = [t.movedim(2, 0).contiguous().movedim(0, 2) for t in taps]
        logits = net(frames, *taps)
        del kept
        return logits
