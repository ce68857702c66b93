"""A transformer over frames before texts meet them: "seqTransf" of CLIP4Clip (Luo et al.,
Neurocomputing 2022, arXiv:2104.08860), which Side4Video's retrieval code keeps.

Checked against github.com/ArrowLuo/CLIP4Clip at 508ffa3 and HJYao00/Side4Video at 5d72352.
Shapes: B videos, T frames, E joint embedding.
"""

import torch
from torch import Tensor, nn

from vidtune.nn.clip import TextEncoder, Transformer
from vidtune.spec import Backbone

EPS = 1e-12  # of its LayerNorms, TensorFlow's
PADDED = -1e6  # what the official code adds to the logits of padded frames


class FrameTransformer(nn.Module):
    """Frames with positions through a transformer, and the frames themselves added again."""

    def __init__(self, backbone: Backbone, layers: int, frames: int) -> None:
        """Raises `ValueError` that names the option which does not fit."""
        super().__init__()
        text, embed = backbone.text, backbone.embed
        if text.width != embed:
            raise ValueError(
                "header_layers: seqTransf needs a joint embedding as wide as the text tower; "
                f"found {embed} and {text.width}"
            )
        if frames > text.context:
            raise ValueError(
                f"frames: expected at most the {text.context} positions of seqTransf; "
                f"found {frames}"
            )
        self.position = nn.Parameter(torch.empty(text.context, embed))
        self.transformer = Transformer(embed, layers, eps=EPS)
        nn.init.normal_(self.position, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):  # BERT's start; packed projections keep Xavier's
                nn.init.normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    @torch.no_grad()
    def start_from(self, text: TextEncoder) -> None:
        """Copy the text tower's positions and its first blocks, as many as both have."""
        self.position.copy_(text.positional_embedding)
        blocks = zip(self.transformer.resblocks, text.transformer.resblocks, strict=False)
        for ours, theirs in blocks:
            ours.load_state_dict(theirs.state_dict())

    def forward(self, frames: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, E), real frames (B, T) -> (B, T, E). No mask: all are real."""
        frames = frames.to(self.position.dtype)  # single, where the encoder's weights are half
        bias = None
        if mask is not None:
            bias = PADDED * (~mask).to(frames.dtype)[:, None, None]  # (B, 1, 1, T)
        x = frames + self.position[: frames.shape[1]]  # (B, T, E)
        return frames + self.transformer(x, bias)
