"""What a part of a training step needs: lines through two predictions, and operations by hand."""

import pytest
from helpers.zoo import CLASSES, EVA, MODELS, SIDE, TINY, model, shown

from vidtune.cost import predict_step
from vidtune.cost.count import cost
from vidtune.cost.predict_memory import training_ledger
from vidtune.cost.predict_step import FEW, MANY, highest, lines, run_test, train_part
from vidtune.nn.lean import as_published
from vidtune.spec import GIB, Model, Workload


def load_of(m: Model, **fields: object) -> Workload:
    given = {"batch": 32, "precision": "fp32", "weights": "fp32", "checkpoint": False}
    words = min(m.max_words, m.backbone.text.context)
    nameless = m.model_copy(update={"name": "", "max_words": words})
    return Workload(model=nameless, **{**given, **fields})


def peak_of(load: Workload, clips: int) -> float:
    return max(
        a + b * clips for a, b in highest(lines(train_part(load, FEW), train_part(load, MANY)))
    )


def test_highest_lines():
    assert highest({(10, 1), (0, 1.5), (9, 1), (0, 1.2), (-50, 2)}) == [(10, 1), (0, 1.5), (-50, 2)]
    assert highest({(1, 1), (1, 0), (0, 1)}) == [(1, 1)]
    assert highest({(0, 2), (5, 0)}) == [(5, 0), (0, 2)]


FIRST = {(m.method, m.task, m.backbone.arch): m for m in reversed(MODELS)}


@pytest.mark.parametrize("m", FIRST.values(), ids=shown)
def test_lines_predict_any_number_of_clips(m):
    """But for a few blocks of 512 bytes."""
    load = load_of(m)
    for clips in (4, 32):
        assert peak_of(load, clips) == pytest.approx(train_part(load, clips).ledger.peak, rel=0.01)


@pytest.mark.parametrize("m", [m for m in MODELS if m.task == "recognition"][::3], ids=shown)
def test_a_recognition_step_is_the_ledgers_of_our_code(m):
    """Beside the clips as the loader gives them."""
    load = load_of(m)
    part = train_part(load, 8)
    raw = 8 * m.frames * 3 * TINY.image**2
    whole = training_ledger(load.model, 8, "fp32", "fused", released=False)
    assert part.ledger.peak == pytest.approx(whole.peak + raw, rel=0.02)


def test_operations_by_hand():
    """A probe trains its classifier alone: no gradient passes the trunk."""
    m = model("linear_probe", "recognition", {})
    part = train_part(load_of(m), 16)
    assert part.back == 2 * 16 * TINY.embed * CLASSES  # the classifier's weight
    lora = model("lora", "retrieval", {"lora_rank": 2})
    tuned = train_part(load_of(lora), 16)
    assert 0.8 < tuned.back / tuned.encode < 1.5  # through frozen layers, not into them
    full = train_part(load_of(model("clip4clip", "retrieval", {})), 16)
    assert 1.8 < full.back / full.encode < 2.2
    counted = 2e9 * cost(load_of(m).model)["gmacs_by"]["macs"]["vision"]
    assert 0.8 * counted < run_test(load_of(m))[1] < counted  # the last block is lean
    with as_published():
        assert run_test(load_of(m))[1] == pytest.approx(counted, rel=1e-6)


@pytest.mark.parametrize("arch", [TINY, EVA], ids=["clip", "eva"])
@pytest.mark.parametrize("precision", ["fp32", "amp16"])
def test_checkpointing_needs_less_and_computes_more(arch, precision):
    m = model("side4video", "recognition", {**SIDE, "width": 128}, arch)
    plain, less = (load_of(m, checkpoint=on, precision=precision) for on in (False, True))
    assert peak_of(less, 32) < 0.85 * peak_of(plain, 32)
    assert train_part(less, 8).back > train_part(plain, 8).back


def test_half_precision_needs_less():
    m = model("clip4clip", "retrieval", {})
    single, half = (train_part(load_of(m, weights=w), 16) for w in ("fp32", "fp16"))
    assert half.gradients < 0.75 * single.gradients
    assert half.ledger.peak < 0.8 * single.ledger.peak
    frozen = model("linear_probe", "recognition", {})
    weights = [
        run_test(load_of(frozen, precision=p))[0].peaks()[1]["weights"] for p in ("fp32", "amp16")
    ]
    assert weights[1] < 0.6 * weights[0]


def test_features_of_the_whole_batch_meet():
    m = model("side4video", "retrieval", SIDE)
    few, many = (train_part(load_of(m, batch=n), 8).ledger.peaks()[0] for n in (8, 256))
    assert few["forward"] == many["forward"] and few["loss"] < many["loss"]


def test_a_prediction_is_whole():
    m = model("side4video", "recognition", SIDE)
    found = predict_step.predict_step(load_of(m, precision="amp16"))
    again = predict_step.predict_step(load_of(m, precision="amp16", checkpoint=True))
    assert found["recomputed"] == again["lines"] and again["recomputed"] == []
    assert found["gflops"]["recomputed"] == again["gflops"]["step"] > found["gflops"]["step"]
    assert found["mixes"] and found["clip"] == m.frames * 3 * TINY.image**2 / GIB
    assert 0 < found["gradients"] < found["lines"][0][0] and found["test"] > 0
    assert 0 < found["gflops"]["encode"] < found["gflops"]["step"]


def test_the_sum_over_ranks_is_predicted():
    m = model("clip4clip", "retrieval", {})
    part = train_part(load_of(m), 4)
    assert part.ledger.peaks()[0]["sum over ranks"] > 2 * part.gradients
