"""Predicted training memory at full size is near the official code's, and its fit near print.

The official code's numbers, in GiB, are of the same ledger over the official code at the commits
that the methods' modules name, on fake tensors, with 8 frames, in the second step.
"""

from pathlib import Path

import pytest
from helpers.common import plan_at

from vidtune.cost.paper_costs import fitted
from vidtune.cost.predict_memory import GIB, training_ledger
from vidtune.plan import Plan
from vidtune.spec import Prediction

PLAN = plan_at(Path("nowhere"))

# amp16, explicit attention; print's GB
OFFICIAL = {
    "b16-ssv1-l4": (5.51, 8.4),
    "b16-ssv1-l6": (7.80, 11.0),
    "b16-ssv2": (14.66, 18.8),
    "b16-ssv1-w128": (8.25, 11.3),
    "b16-ssv1-w512": (21.70, 26.5),
    "b16-ssv1-attention": (16.27, 20.4),
    "b16-light-ssv2": (5.71, 8.9),
    "l14-light-ssv2": (12.04, 15.3),
    "l14-ssv2": (32.27, 37.0),
    "st-adapter-b16": (22.88, 28.8),
    "st-adapter-l14": (43.93, 51.4),
    "aim-b16": (34.48, 35.2),
    "aim-l14": (64.46, 64.3),
    "evl-b16": (15.64, 17.9),
    "evl-l14": (29.11, 33.0),
    "dist-b16": (10.37, 12.7),
    "dist-l14": (14.19, 18.1),
}
# Pairs whose order in print and in prediction differ; the official code's has them the same way.
NEAR = [("b16-ssv2", "evl-b16"), ("aim-b16", "l14-ssv2"), ("dist-l14", "evl-b16")]
NINE = [n for n in OFFICIAL if "ssv" in n]
ROWS = {
    row.model.name: row
    for paper in PLAN.config.papers
    for row in PLAN.specs()[PLAN.spec_of("memory", paper)].rows
}


def peak(row: Prediction, **how: str) -> float:
    precision, attention = how.get("precision", row.precision), how.get("attention", row.attention)
    return training_ledger(row.model, row.batch, precision, attention).peak / GIB


@pytest.fixture(scope="module")
def peaks() -> dict[str, float]:
    """Peak GiB of training every row, under its declared conditions."""
    return {name: peak(row) for name, row in ROWS.items()}


@pytest.mark.parametrize("row", OFFICIAL)
def test_raw_is_the_official_codes(peaks, row):
    assert peaks[f"side4video/{row}"] == pytest.approx(OFFICIAL[row][0], rel=0.02)


def test_four_layers_from_the_top_need_the_same():
    """The official number is of the top four layers; the paper's rule, and ours, is every third."""
    row = ROWS["side4video/b16-ssv1-l4"]
    options = {**row.model.options, "fusion": "top"}
    top = row.model_copy(update={"model": row.model.model_copy(update={"options": options})})
    assert peak(top) == pytest.approx(5.51, rel=0.02)


@pytest.mark.parametrize(
    "row, how, official",
    [
        ("b16-ssv2", {"attention": "fused"}, 11.40),
        ("b16-ssv2", {"precision": "fp32"}, 21.48),
        ("b16-ssv2", {"precision": "fp32", "attention": "memory-efficient"}, 20.13),
        ("l14-light-ssv2", {"attention": "fused"}, 9.20),
        ("st-adapter-b16", {"attention": "fused"}, 16.37),
        ("st-adapter-b16", {"precision": "fp32"}, 32.55),
        ("st-adapter-b16", {"precision": "fp32", "attention": "memory-efficient"}, 29.28),
    ],
)
def test_other_conventions(row, how, official):
    assert peak(ROWS[f"side4video/{row}"], **how) == pytest.approx(official, rel=0.025)


def test_order_of_print(peaks):
    printed = sorted(OFFICIAL, key=lambda row: OFFICIAL[row][1])
    swapped = [
        (low, high)
        for k, low in enumerate(printed)
        for high in printed[k + 1 :]
        if peaks[f"side4video/{low}"] > peaks[f"side4video/{high}"]
    ]
    assert set(map(frozenset, swapped)) <= set(map(frozenset, NEAR)), swapped


def test_fit_is_of_our_own_predictions(peaks):
    """The slope only converts units, and the offset is the mean of what is left."""
    fit = PLAN.config.papers["side4video"].fit
    assert sorted(fit.rows) == sorted(NINE)
    assert fit.slope == GIB / 1e9
    left = [OFFICIAL[row][1] - fit.slope * peaks[f"side4video/{row}"] for row in NINE]
    assert fit.offset == pytest.approx(sum(left) / len(left), abs=0.05)


@pytest.mark.parametrize("row", [*NINE, "st-adapter-b16", "st-adapter-l14"])
def test_fitted_is_near_print(peaks, row):
    name = f"side4video/{row}"
    gb = fitted(ROWS[name].fit, peaks[name])["gb"]
    assert gb == pytest.approx(OFFICIAL[row][1], rel=0.05 if row in NINE else 0.06)


def test_claims_of_saved_memory(peaks):
    """The abstract and Section 4.2 save 75 % of AIM's, 70 % of ST-Adapter's, 30, 16 % of DiST's."""
    light, light_l14 = peaks["side4video/b16-light-ssv2"], peaks["side4video/l14-light-ssv2"]
    saved = {
        "aim-b16": 1 - light / peaks["side4video/aim-b16"],
        "st-adapter-b16": 1 - light / peaks["side4video/st-adapter-b16"],
        "dist-b16": 1 - light / peaks["side4video/dist-b16"],
        "dist-l14": 1 - light_l14 / peaks["side4video/dist-l14"],
    }
    assert saved["aim-b16"] > 0.75 and saved["st-adapter-b16"] > 0.70
    assert saved["dist-b16"] > 0.30 and saved["dist-l14"] > 0.10


def test_table_3_is_of_b32(peaks):
    """With 16 videos a GPU and weights in float16, its numbers cannot be those of ViT-B/16."""
    printed = {"clip4clip-b32-msrvtt": 8.2, "clip4clip-frozen-b32-msrvtt": 3.8, "b32-msrvtt": 5.8}
    for row, gb in printed.items():
        name = f"side4video/{row}"
        assert fitted(ROWS[name].fit, peaks[name])["gb"] == pytest.approx(gb, abs=0.5)
    row = ROWS["side4video/clip4clip-b32-msrvtt"]
    b16 = row.model.model_copy(update={"backbone": PLAN.config.backbones["vit-b16"]})
    assert fitted(row.fit, peak(row.model_copy(update={"model": b16})))["gb"] > 2 * 8.2


def test_tempmes_full_tuning_saves_more_than_print(peaks):
    """The official code needs 67.1 and 39.4 GiB, 58.7 %; print says 70.1 and 52.7 GB, 75.2 %."""
    clip4clip, merged = peaks["tempme/clip4clip-b16"], peaks["tempme/tempme-full-b16"]
    assert clip4clip == pytest.approx(67.1, rel=0.05)
    assert merged == pytest.approx(39.4, rel=0.05)
    assert merged / clip4clip == pytest.approx(0.587, abs=0.03)


def test_more_frames_need_more_in_print_and_here(peaks):
    """Table 17 prints 12381 MB for 12 frames and 16410 MB for 18."""
    few, many = peaks["tempme/tempme-b32"], peaks["tempme/tempme-b32-f18"]
    assert 1 < many / few < 1.5 and few < 12381 / 1000


def test_every_printed_memory_of_a_variant_is_predicted(plan: Plan):
    """These are Side4Video's Tables 2, 3 and 9, and TempMe's 5 and 17."""
    tables = ("Table 2", "Table 3", "Table 9", "Table 5", "Table 17")
    for name, paper in plan.config.papers.items():
        for numbers in paper.numbers:
            for row, cells in numbers.rows.items():
                printed = {"train_gb", "train_gb_log", "train_mb"} & set(
                    cells
                ) and row in paper.variants
                if printed and numbers.where.startswith(tables):
                    assert numbers.where in ROWS[f"{name}/{row}"].where
