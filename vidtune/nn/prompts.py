"""Learned prompts among the tokens of CLIP's towers, as VoP and DGL have them.

Every block sees prompts of its own, which stand in for those of the block before.
Shapes: N sequences, L words, p prompts of which f stand first, S tokens, D width.
"""

import torch
from torch import Tensor

from vidtune.nn.clip import TextEncoder


def insert(x: Tensor, prompts: Tensor) -> Tensor:
    """Prompts (p, D) or (N, p, D) after the first of the tokens (N, S, D) -> (N, S + p, D)."""
    return torch.cat([x[:, :1], prompts.expand(len(x), -1, -1), x[:, 1:]], dim=1)


def drop(x: Tensor, p: int) -> Tensor:
    """Undo `insert`: (N, S + p, D) -> (N, S, D)."""
    return torch.cat([x[:, :1], x[:, 1 + p :]], dim=1)


def text_hidden(
    clip: TextEncoder, tokens: Tensor, prompts: Tensor, first: int, tail: int, positioned: bool
) -> Tensor:
    """(N, L) ids, prompts (layers, p, D) -> states after `ln_final`, (N, L + p, D).

    `first` prompts follow the start of the text, the others stand before its last `tail` tokens;
    with `positioned` they take up positions of the text. Attention is causal.
    """
    p, cut = prompts.shape[1], tokens.shape[1] - tail
    x = clip.token_embedding(tokens)  # (N, L, D)
    if not positioned:
        x = x + clip.positional_embedding[: x.shape[1]]
    for i, block in enumerate(clip.transformer.resblocks):
        if i:  # the prompts of the block before
            x = torch.cat([x[:, :1], x[:, 1 + first : cut + first], x[:, cut + p :]], dim=1)
        before, after = prompts[i].expand(len(x), -1, -1).split([first, p - first], dim=1)
        x = torch.cat([x[:, :1], before, x[:, 1:cut], after, x[:, cut:]], dim=1)
        if positioned and i == 0:
            x = x + clip.positional_embedding[: x.shape[1]]
        x = block(x, causal=True)  # (N, L + p, D)
    return clip.ln_final(x)


def shortened(tokens: Tensor, length: int) -> Tensor:
    """Cut each text (N, L) to `length` ids; a cut text gets end-of-text as its last id."""
    if tokens.shape[1] <= length:
        return tokens
    kept, end = tokens[:, : length - 1], tokens.max(dim=1, keepdim=True).values
    ended = tokens[:, :length].max(dim=1, keepdim=True).values == end  # (N, 1)
    return torch.cat([kept, torch.where(ended, tokens[:, length - 1 : length], end)], dim=1)


def at(x: Tensor, place: Tensor) -> Tensor:
    """The state (N, D) of each text (N, S, D) at its place (N,)."""
    return x.gather(1, place[:, None, None].expand(-1, 1, x.shape[-1]))[:, 0]
