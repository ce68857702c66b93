"""The counters of matrix products agree, on tiny models of every kind and at the papers' size."""

import json
import random
from collections import Counter

import pytest
from helpers.common import REPO
from helpers.sizes import short
from helpers.zoo import LISTED, MODELS, TEMPME, TINY, model, shown

from vidtune.cost import audit as audits
from vidtune.cost.audit import Audit, audit, closed_form
from vidtune.cost.count import SIDES, build_on_meta, passes, tallies
from vidtune.methods.tempme.closed_form import tokens_per_block
from vidtune.nn.closed_form import matching
from vidtune.nn.merging import sources
from vidtune.plan.registry import options_of
from vidtune.spec import Model, UserError


def closed_and_counted(m: Model) -> tuple[dict[str, int], dict[str, int]]:
    net = build_on_meta(m)
    net.fold_lora()
    form, counts = closed_form(m), tallies(net, m)
    sides = passes(net, m)
    return {s: getattr(form, s) for s in sides}, {s: counts[s].products for s in sides}


def test_every_method_has_a_closed_form():
    paths = (REPO / "vidtune/methods").glob("*/closed_form.py")
    assert {p.parent.name for p in paths} >= LISTED


@pytest.mark.parametrize("m", [m for m in MODELS if closed_form(m)], ids=shown)
def test_closed_forms_of_tiny_models(m):
    closed, counted = closed_and_counted(short(m))
    assert closed == counted


def test_closed_forms_of_every_declared_variant(plan, counted_costs):
    costs, _ = counted_costs
    for name, m in plan.models.items():
        gmacs = costs[name]["gmacs_by"]["macs"]
        if form := closed_form(m):  # a method that somebody adds may have none
            closed = {side: getattr(form, side) for side in SIDES}
            assert closed == {side: round(gmacs[side] * 1e9) for side in SIDES}, name


def test_closed_form_of_tempme_over_its_schedules():
    """Draws joins of one frame, shares that truncate, layers in any place; the seed is fixed."""
    draw, tried, rare = random.Random(4), 0, 0
    while tried < 60:
        at = sorted(draw.sample(range(6), draw.randint(0, 3)))
        given = {
            "merge_layers": at,
            "merge_frames": [draw.choice([1, 1, 2, 3]) for _ in at],
            "cross": draw.choice([0, 7, 29, 57, 58, 100]),
            "intra": draw.choice([0, 10, 29, 55]),
            "img_merge": draw.choice([0, 1, 2, 7]),
            "clip_merge": draw.choice(["both", "cross", "intra", "none"]),
            "join": draw.random() < 0.8,
        }
        if given["clip_merge"] == "none":
            given["img_merge_layers"] = draw.choice(["all", "before_join"])
        m = short(model("tempme", "retrieval", TEMPME | given)).model_copy(update={"frames": 12})
        try:
            closed, counted = closed_and_counted(m)
        except UserError:  # options that do not fit together
            continue
        assert closed == counted, given
        tried += 1
        rare += 1 in given["merge_frames"] and given["join"]
    assert rare > 10


def test_stages_of_tempme_as_published():
    b32 = TINY.model_copy(update={"image": 224, "patch": 32, "width": 768, "layers": 12})
    m = model("tempme", "retrieval", {}, b32).model_copy(update={"frames": 12})
    joined = list(tokens_per_block(m, options_of(m)))[8:]
    assert [(s.clips, s.cls, s.tokens) for s in joined] == [
        *((6, 2, 68), (3, 4, 88), (1, 12, 168), (1, 12, 107))
    ]


@pytest.mark.parametrize("tokens", (17, 18, 50, 51))
@pytest.mark.parametrize("cls", (1, 2, 3, 4))
def test_a_matching_pairs_all_sources_with_all_targets(tokens, cls):
    s = sources(tokens, cls)
    assert matching(2, tokens, cls, 8) == 2 * s * (tokens - cls - s) * 8


ONE_EACH = list({(m.method, m.task, m.backbone.arch): m for m in MODELS}.values())


@pytest.mark.parametrize("m", ONE_EACH, ids=shown)
def test_every_counter_agrees(m):
    result = audit(short(m))
    assert result.agrees, result
    counters = {"counted", "fvcore", "torch"} | ({"closed"} if closed_form(m) else set())
    assert all(set(counts) == counters for counts in result.sides.values())
    assert not any(result.unseen.values())
    assert result.given["scaled_dot_product_attention"]  # which fvcore itself does not see


def test_dist_differs_by_what_nothing_reads():
    """fvcore's graph lacks what the last layer sends to the temporal encoder."""
    m = next(m for m in MODELS if m.method == "dist")
    counts = audit(m).sides["vision"]
    frames, patches = 2, 16
    assert counts["counted"] - counts["fvcore"] == frames * patches * 24 * 8
    assert counts["counted"] == counts["torch"] == counts["closed"]


def test_models_too_large_to_run_are_left_to_the_formulas(monkeypatch):
    monkeypatch.setattr(audits, "WIDEST", TINY.width - 1)
    counts = audit(MODELS[0]).sides["vision"]
    assert set(counts) == {"counted", "torch", "closed"}


def test_a_difference_is_that_of_the_worst_side():
    result = Audit("x", {"vision": {"a": 1000, "b": 999}, "text": {"a": 1000, "b": 1000}})
    assert result.difference == pytest.approx(0.001) and result.agrees
    assert not Audit("x", {"vision": {"a": 1000, "b": 997}}).agrees
    assert not Audit("x", {"head": {"a": 1, "b": 0}}).agrees


# --- the verb ---


def test_audit_verb(vidtune):
    code, out, _ = vidtune("audit", "side4video/e14-ssv1-top", "side4video/e14-ssv1-interval")
    assert code == 0
    assert "2 of 2 agree within 0.2%" in out
    assert "9451.375790" in out and "beyond ViT-B/16" in out


def test_audit_verb_in_json(vidtune):
    code, out, _ = vidtune("audit", "side4video/aim-l14", "tempme/tempme-b32", "--json")
    large, small = json.loads(out)
    assert code == 0 and large["agrees"] and large["name"] == "side4video/aim-l14"
    assert set(large["sides"]["vision"]) == {"counted", "torch", "closed"}
    assert set(small["sides"]["vision"]) == {"counted", "fvcore", "torch", "closed"}
    assert small["given"] and all(isinstance(op, str) for op in small["given"])


def test_audit_verb_names_what_is_missing(vidtune, monkeypatch):
    monkeypatch.setattr(audits, "closed_form", lambda model: None)
    code, out, _ = vidtune("audit", "side4video/aim-l14")
    assert code == 0 and "aim: no closed form; add one" in out


def test_audit_verb_fails_where_counters_differ(vidtune, monkeypatch):
    result = Audit("side4video/aim-l14", {"vision": {"counted": 10, "torch": 9}})
    result.unseen = {"torch": Counter(new_product=3)}
    monkeypatch.setattr(audits, "audit", lambda model: result)
    code, out, _ = vidtune("audit", "side4video/aim-l14")
    assert code == 1 and "DIFFERS" in out
    assert "torch did not see new_product (3 calls)" in out


def test_audit_verb_knows_its_variants(vidtune):
    code, _, err = vidtune("audit", "side4video/nothing")
    assert code == 2 and "is not known" in err
