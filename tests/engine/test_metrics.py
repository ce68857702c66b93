"""Recognition and retrieval metrics on scores made by hand."""

import pytest
import torch

from vidtune.engine import metrics


def test_ranks_with_ties():
    scores = torch.tensor([[3.0, 1.0, 2.0], [1.0, 1.0, 1.0], [0.0, 5.0, 5.0]])
    assert metrics.ranks(scores, torch.tensor([0, 1, 2])).tolist() == [1.0, 2.0, 1.5]


def test_recognition_metrics():
    logits = torch.tensor([[2.0, 1.0, 0.0, 0.0], [2.0, 1.0, 3.0, 0.0]])
    out = metrics.recognition(logits, torch.tensor([0, 1]), [1, 0, 3, 2])
    assert out == {"top1": 50.0, "top5": 100.0, "pair": 50.0}
    assert "pair" not in metrics.recognition(logits, torch.tensor([0, 1]), None)


def test_retrieval_metrics():
    sim = torch.tensor([[0.9, 0.8, 0.1], [0.95, 0.5, 0.2], [0.1, 0.2, 0.3]])
    out = metrics.retrieval(sim, torch.arange(3), [(0, 1)])
    assert out["r1"] == pytest.approx(200 / 3) and out["mdr"] == 1.0
    assert out["mnr"] == pytest.approx(4 / 3) and out["r5"] == 100.0
    assert out["rsum"] == pytest.approx(out["r1"] + out["r5"] + out["r10"])
    assert out["v2t_r1"] == pytest.approx(100 / 3)
    assert out["pair"] == 50.0
    official = metrics.retrieval(sim, torch.arange(3), [(0, 1)], "official")
    assert official == pytest.approx(out)  # the rules differ in ties alone


def test_a_model_that_tells_nothing_apart_gains_by_the_official_rule_alone():
    flat = torch.zeros(4, 4)
    own = torch.arange(4)
    assert metrics.ranks(flat, own).tolist() == [2.5] * 4
    assert metrics.entries(flat, own).tolist() == [1.0, 2.0, 3.0, 4.0] * 4
    assert metrics.retrieval(flat, own, [])["r1"] == 0.0
    assert metrics.retrieval(flat, own, [], "official")["r1"] == 25.0


@pytest.mark.parametrize("ties", ["middle", "official"])
def test_several_captions_of_a_video(ties):
    sim = torch.tensor([[0.9, 0.1], [0.2, 0.3], [0.8, 0.7]])
    owner = torch.tensor([0, 0, 1])  # video 0 has two captions
    expected = torch.tensor([[0.9, 0.8], [0.3, 0.7]])
    assert torch.equal(metrics.best_captions(sim, owner), expected)
    out = metrics.retrieval(sim, owner, [], ties)
    assert out["r1"] == pytest.approx(100 / 3)  # the first caption alone finds its video
    assert out["mdr"] == 2.0 and out["mnr"] == pytest.approx(5 / 3)
    assert out["v2t_r1"] == 100.0


@pytest.mark.parametrize("ties", ["middle", "official"])
def test_ranks_are_those_within_the_galleries(ties):
    torch.manual_seed(0)
    owner = torch.tensor([0, 1, 1, 2, 3, 4, 5])
    gallery = [7, 3, 7, 3, 7, 3]  # of videos 0, 2, 4 and 1, 3, 5
    sim = torch.rand(7, 6).round(decimals=1)  # with ties
    out = metrics.retrieval(sim, owner, [(0, 2)], ties, gallery)
    a = metrics.retrieval(sim[[0, 3, 5]][:, [0, 2, 4]], torch.arange(3), [(0, 1)], ties)
    b = metrics.retrieval(sim[[1, 2, 4, 6]][:, [1, 3, 5]], torch.tensor([0, 0, 1, 2]), [], ties)
    assert out["pair"] == a["pair"]
    if ties == "middle":
        for key in ("r1", "rsum", "mnr"):  # 3 and 4 texts
            assert out[key] == pytest.approx((3 * a[key] + 4 * b[key]) / 7)
            assert out[f"v2t_{key}"] == pytest.approx((a[f"v2t_{key}"] + b[f"v2t_{key}"]) / 2)
    assert out["r5"] == 100.0  # of three candidates
    sim[0, 1] = sim[1, 0] = 2.0  # between galleries: nobody ranks it
    assert metrics.retrieval(sim, owner, [(0, 2)], ties, gallery) == out
    one = metrics.retrieval(sim, owner, [(0, 2)], ties, [1] * 6)
    assert one == metrics.retrieval(sim, owner, [(0, 2)], ties)
