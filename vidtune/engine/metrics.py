"""Recognition and retrieval metrics. Shares are in percent, ranks start at 1.

Ties. `ranks` (datasets with `ties: middle`, and recognition): 1 + the number of strictly better
candidates + half the number of equal ones, so that a model which cannot tell candidates apart gets
the middle rank and no gift. `entries` (`ties: official`, for numbers that stand beside published
ones): the official codes find the right score in the sorted row, so a row whose right score is
tied enters once for every place it fills, and the denominators exceed the number of queries.

Galleries. Where the clips have galleries, a text is ranked among the videos of its own gallery and
a video among the texts of its own; recalls and ranks are those of all galleries' queries together.

Several captions of a video (MSVD, VATEX): every caption looks for its video; a video looks for a
video's captions by the best of them. `ties: official` then ranks captions by `places`, which gives
each query one rank, and takes the lower of two middle ranks as the median.

Checked against github.com/ArrowLuo/CLIP4Clip at 508ffa3 and LunarShen/TempMe at e624930 (metrics.py).
Shapes: Q texts, V videos, N candidates.
"""

import torch
from torch import Tensor

SUM_AT = (1, 5, 10)


def ranks(scores: Tensor, target: Tensor) -> Tensor:
    """(Q, N) scores, (Q,) index of the right candidate -> (Q,) float64 ranks."""
    assert scores.isfinite().all(), "a rank needs finite scores"
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


def entries(scores: Tensor, target: Tensor) -> Tensor:
    """Ranks by the official rule for one caption a video, row by row: at least (Q,)."""
    own = scores.gather(1, target[:, None])  # (Q, 1)
    better, equal = (scores > own).sum(1), (scores == own).sum(1)  # the right one is its own equal
    first = (equal.cumsum(0) - equal).repeat_interleave(equal)
    return (1 + better.repeat_interleave(equal) + torch.arange(len(first)) - first).double()


def places(scores: Tensor, target: Tensor) -> Tensor:
    """Ranks by the official rule for several captions a video: places after sorting, (Q,).

    The official code leaves open which of equal scores comes first; this takes the first candidate.
    """
    order = scores.argsort(dim=1, descending=True, stable=True)
    return 1 + (order == target[:, None]).double().argmax(dim=1).double()


def best_captions(sim: Tensor, owner: Tensor) -> Tensor:
    """The best similarity of each video (row) to each video's captions: (Q, V) -> (V, V).

    `owner` is sorted and leaves out no video.
    """
    parts = sim.split(owner.bincount().tolist())
    return torch.stack([part.amax(dim=0) for part in parts]).T


def blocks(owner: Tensor, gallery: list[int] | None) -> list[tuple[Tensor, Tensor]]:
    """Return the texts and the videos of each gallery, ascending; see `retrieval`."""
    if gallery is None:
        return [(torch.arange(len(owner)), owner.unique())]
    numbers = torch.tensor(gallery)  # (V,)
    return [
        ((numbers[owner] == number).nonzero()[:, 0], (numbers == number).nonzero()[:, 0])
        for number in numbers.unique()
    ]


def retrieval(
    sim: Tensor,
    owner: Tensor,
    twins: list[tuple[int, int]],
    ties: str = "middle",
    gallery: list[int] | None = None,
) -> dict[str, float]:
    """Both directions of (Q, V) similarities; text q describes video `owner[q]`, texts in order.

    `twins` are pairs of clips whose captions differ only in motion: `pair` is the share of their
    captions that prefer their own video to its twin. `gallery` has the number of each video's
    gallery; None: all videos are in one. Similarities between galleries are not looked at.
    """
    several = len(owner) > sim.shape[1]
    by_text = places if several else entries
    rules = (by_text, entries) if ties == "official" else (ranks, ranks)
    t2v, v2t = [], []
    for texts, videos in blocks(owner, gallery):
        inside = sim[texts][:, videos]
        own = torch.searchsorted(videos, owner[texts])
        t2v.append(rules[0](inside, own))
        v2t.append(rules[1](best_captions(inside, own), torch.arange(len(videos))))
    lower = several and ties == "official"
    out = _summary("", torch.cat(t2v), "lower" if lower else "linear")
    out |= _summary("v2t_", torch.cat(v2t), "linear")
    if twins:
        partner = dict(twins) | {b: a for a, b in twins}
        texts = [q for q, video in enumerate(owner.tolist()) if video in partner]
        own = owner[texts]
        other = torch.tensor([partner[video] for video in own.tolist()])
        two = torch.stack([sim[texts, own], sim[texts, other]], 1)  # (Q, 2)
        out["pair"] = top(ranks(two, torch.zeros_like(own)), 1)
    return out


def _summary(prefix: str, rank: Tensor, median: str) -> dict[str, float]:
    """Recalls, median and mean rank; `median` says how two middle ranks become one."""
    recall = {f"{prefix}r{k}": top(rank, k) for k in SUM_AT}
    return recall | {
        f"{prefix}rsum": sum(recall.values()),
        f"{prefix}mdr": rank.quantile(0.5, interpolation=median).item(),
        f"{prefix}mnr": rank.mean().item(),
    }
