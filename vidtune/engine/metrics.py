"""Recognition and retrieval metrics. Shares are in percent, ranks start at 1.

Ties: a rank is 1 + the number of strictly better candidates + half the number of equal ones, so
that a model which cannot tell candidates apart gets the middle rank and no gift. (The official
retrieval code enters a tied row several times, so its denominator exceeds the number of queries.)
"""

import torch
from torch import Tensor

SUM_AT = (1, 5, 10)


def ranks(scores: Tensor, target: Tensor) -> Tensor:
    """(Q, N) scores, (Q,) index of the right candidate -> (Q,) float64 ranks."""
    assert scores.isfinite().all(), "a rank among scores that are no numbers"
    scores = scores.double()
    own = scores.gather(1, target[:, None])  # (Q, 1)
    better = (scores > own).sum(1)
    equal = (scores == own).sum(1) - 1
    return 1 + better + equal / 2  # (Q,)


def top(rank: Tensor, k: int) -> float:
    """Share of queries whose right answer is among the first k, in percent."""
    return 100 * (rank <= k).double().mean().item()


def recognition(logits: Tensor, labels: Tensor, reversal: list[int] | None) -> dict[str, float]:
    """Top-1, top-5 and, where classes have a time-reversed partner, accuracy within pairs."""
    rank = ranks(logits, labels)
    out = {"top1": top(rank, 1), "top5": top(rank, 5)}
    if reversal is not None:
        partner = torch.tensor(reversal)[labels]
        two = logits.gather(1, torch.stack([labels, partner], 1))  # (Q, 2)
        out["pair"] = top(ranks(two, torch.zeros_like(labels)), 1)
    return out


def retrieval(sim: Tensor, twins: list[tuple[int, int]]) -> dict[str, float]:
    """(texts, videos) with the right video on the diagonal: both directions.

    `twins` are pairs of clips whose captions differ only in motion: `pair` is the share of their
    captions that prefer their own video to its twin.
    """
    target = torch.arange(len(sim))
    out = {}
    for prefix, scores in (("", sim), ("v2t_", sim.T)):
        rank = ranks(scores, target)
        recall = {f"{prefix}r{k}": top(rank, k) for k in SUM_AT}
        out |= recall
        out[f"{prefix}rsum"] = sum(recall.values())
        out[f"{prefix}mdr"] = rank.quantile(0.5).item()
        out[f"{prefix}mnr"] = rank.mean().item()
    if twins:
        own, other = torch.tensor(twins + [(b, a) for a, b in twins]).T
        two = torch.stack([sim[own, own], sim[own, other]], 1)  # (Q, 2)
        out["pair"] = top(ranks(two, torch.zeros_like(own)), 1)
    return out
