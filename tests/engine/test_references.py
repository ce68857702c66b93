"""References of learned results: expected values against many random answers."""

import pytest
import torch
from helpers.generated import record

from vidtune.data.records import Record
from vidtune.engine import metrics, references

LOOKS = ["red", "red", "blue", "red", "red", "red", "blue", "green"]
GALLERY = [0, 0, 0, 0, 1, 1, 1, 1]
CAPTIONS = [1, 2, 1, 1, 1, 1, 3, 1]


def clips(gallery: list[int] | None = None) -> list[Record]:
    return [
        record(
            k,
            captions=("caption",) * CAPTIONS[k],
            group=f"pair {k // 2}" if k < 2 else None,
            appearance={"colour": look},
            gallery=gallery[k] if gallery else None,
        )
        for k, look in enumerate(LOOKS)
    ]


@pytest.mark.parametrize("gallery", [None, GALLERY])
@pytest.mark.parametrize("name", ["chance", "appearance oracle"])
def test_an_expected_value_is_the_mean_of_many_random_answers(name, gallery):
    torch.manual_seed(0)
    owner = [k for k, n in enumerate(CAPTIONS) for _ in range(n)]
    known = references.retrieval(clips(gallery), torch.randn(11, 4), torch.randn(8, 4), owner)
    same = torch.tensor([[LOOKS[k] == look for look in LOOKS] for k in owner])  # (Q, V)
    drawn = []
    for _ in range(2000):
        sim = torch.rand(11, 8) + (2.0 * same if name == "appearance oracle" else 0)
        drawn.append(metrics.retrieval(sim, torch.tensor(owner), [(0, 1)], "middle", gallery))
    for metric, expected in known[name].items():
        assert sum(d[metric] for d in drawn) / len(drawn) == pytest.approx(expected, abs=1.5)


def test_zero_shot_clip_ranks_by_the_mean_of_frames_within_galleries():
    videos = torch.eye(8)[[0, 1, 2, 3, 0, 1, 2, 3]]  # alike between galleries alone
    owner = [k for k, n in enumerate(CAPTIONS) for _ in range(n)]
    apart = references.retrieval(clips(GALLERY), videos[owner], 3 * videos, owner)
    assert apart["zero-shot CLIP"]["r1"] == 100.0 and apart["zero-shot CLIP"]["pair"] == 100.0
    together = references.retrieval(clips(), videos[owner], 3 * videos, owner)
    assert together["zero-shot CLIP"]["r1"] == 0.0  # each tied with another


def test_references_of_recognition_are_in_percent():
    known = references.recognition({"top1": 0.4, "within_pairs": 0.51}, 12)
    assert known["chance"] == {"top1": pytest.approx(100 / 12), "pair": 50.0}
    assert known["linear probe"] == {"top1": 40.0, "pair": 51.0}
