"""Where a trained model looks and what it merges, as maps over the patches of its frames.

Shapes: N clips, T frames, S pixels of a side, P patches of a frame, G x G of them, H heads, D width.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vidtune.nn.attention import use_backend
from vidtune.nn.merging import join, match, merge_sum, merging_block
from vidtune.nn.task import VideoModel


def attention_maps(model: VideoModel, video: Tensor) -> tuple[NDArray[Any], NDArray[Any]]:
    """Maps of a trunk and its side network on videos (N, T, 3, S, S), each (N, T, G, G); see `look.py`.

    The side network has no [CLS] that asks, and its patches are averaged in the end: its map is the mean
    over all of them of what each asks for. Means are over heads; a map's shares are of the patches alone.
    """
    seen: list[Tensor] = []  # of the last call: (N*T, S, K)

    def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, causal: bool) -> Tensor:
        assert not causal
        logits = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)  # (N*T, H, S, K)
        shares = (logits if bias is None else logits + bias).softmax(dim=-1)
        seen[:] = [shares.float().mean(dim=1)]
        return shares @ v

    with use_backend(attend):
        prepared = model.prepare(video)
        trunk = seen[0][:, 0, 1:]  # (N*T, P)
        model(*prepared)  # the last call is the last side block's attention over space
    patches = trunk.shape[1]
    side = seen[0][:, -patches:, -patches:].mean(dim=1)  # (N*T, P)
    return as_map(trunk, video), as_map(side, video)


def as_map(shares: Tensor, video: Tensor) -> NDArray[Any]:
    """Shares of patches (N*T, P) of videos (N, T, ...) -> (N, T, G, G), which sum to one in a frame."""
    side = round(shares.shape[1] ** 0.5)
    shares = shares / shares.sum(dim=1, keepdim=True)
    return shares.unflatten(1, (side, side)).unflatten(0, video.shape[:2]).cpu().numpy()


def final_tokens(model: Any, video: Tensor) -> NDArray[Any]:
    """The number of TempMe's token that each patch of videos (N, T, 3, S, S) ends in, (N, T, G, G).

    The model's own blocks run, and beside every token goes which patches it is made of.
    """
    out = []
    for one in video:  # (T, 3, S, S)
        visual, size = model.clip.visual, None
        x = visual.embed(one)  # (T, P+1, D)
        frames, n = x.shape[:2]
        parts = torch.eye(frames * n, device=x.device).unflatten(0, (frames, n))  # (T, P+1, all)
        for i, (block, plan) in enumerate(zip(visual.blocks, model.plans, strict=True)):
            if plan.clips > 1 or plan.across:
                cls = plan.cls // plan.clips
                parts = join(parts, plan.clips, cls)
                if plan.across:
                    chosen = match(join(x, plan.clips, cls), plan.across, plan.cls)
                    parts = merge_sum(parts, chosen)
                x, size = model._join(i, plan, x, size, 1)
            x, size, within = merging_block(block, x, size, plan.within, plan.cls, model.prop_attn)
            parts = parts if within is None else merge_sum(parts, within)
        token = parts.flatten(0, 1).argmax(dim=0).unflatten(0, (frames, n))[:, 1:]  # (T, P)
        side = round((n - 1) ** 0.5)
        out.append(token.unflatten(1, (side, side)).cpu().numpy())
    return np.stack(out)
