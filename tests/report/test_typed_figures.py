"""Figures typed in texts of the configuration and the documentation are what is computed.

A text names a declared variant's number by a placeholder (test_texts.py). A model that is no
variant has no placeholder: its figures are typed, and computed here.
"""

from pathlib import Path

import pytest
from helpers.common import REPO

from vidtune.cost.count import build_on_meta, cost, tallies
from vidtune.nn.closed_form import stem, trunk
from vidtune.report import verdicts
from vidtune.report.numbers.results import counted
from vidtune.spec import Model

AIM_L14 = "{aim_m:.1f} M, {aim:.0f} GFLOPs"  # with one temporal adapter
NUMERALS = {3: "Three", 10: "ten", 11: "Eleven"}

# Paper, text, and what it says of models that are no variants: keys of `figures`.
TYPED = [
    ("side4video", "variants.aim-l14", f"({AIM_L14})"),
    ("side4video", "AIM L/14 tunes 50 M", AIM_L14),
    ("side4video", "reasons.evl-b16/params_tuned", "11 have {evl11_m:.1f}"),
    ("side4video", "reasons.evl-b16/params_tuned", "without cross-attention {evl_alone_m:.1f}"),
    ("side4video", "reasons.evl-b16/gflops", "11 count {evl11:.1f}, but have {evl11_m:.1f} M"),
    ("side4video", "reasons.evl-b16/gflops", "gives {evl_b16_pairs:.1f} with 12 layers"),
    ("side4video", "EVL B/16 tunes", "11 decoder layers {evl11_m:.1f} M and {evl11:.0f},"),
    ("side4video", "reasons.evl-l14/gflops", "the count is {evl_l14_pairs:.1f}."),
    (
        "side4video",
        "reasons.dist-b16/gflops",
        "{dist_convolutions:.2f} G a view, it is {dist:.1f}:",
    ),
    ("side4video", "DiST B/16 costs", "it would be {dist:.1f}"),
    ("side4video", "reasons.e14-ssv2-f8/tflops", "{e14_trunk:.2f} T of it the trunk"),
    ("side4video", "7.98 TFLOPs a view", "its trunk alone with 8 frames {e14_trunk:.2f}"),
    ("side4video", "reasons.aim-l14-f32/tflops", "which adds {aim_over_time:.0f} G"),
    ("side4video", "ST-Adapter on SSV2", "has 24: {st_adapter_m:.1f} M, {st_adapter:.0f} GFLOPs"),
    ("tempme", "34.8 and 121.4 GFLOPs", "costs {tempme_b32:.1f} and {tempme_b16:.1f}"),
]


def with_two_neighbours(model: Model, macs: float) -> float:
    """EVL's products if the first and the last frame had two neighbours: two more pairs, each with
    its logits and offsets, in every decoder layer."""
    b = model.backbone
    return macs + 2 * 2 * b.patches**2 * b.width * model.options["layers"] / 1e9


@pytest.fixture(scope="module")
def figures(plan, counted_costs):
    """Name -> GMACs of three views (of one where a text says so), or tuned parameters in M."""
    costs, models = counted_costs[0], plan.models

    def changed(variant: str, **options) -> tuple[float, float]:
        model = models[f"side4video/{variant}"]
        made = cost(model.model_copy(update={"options": {**model.options, **options}}))
        return made["gmacs"] * made["views"], made["params_tuned"] / 1e6

    def unfolded(variant: str) -> float:
        model = models[variant]
        return tallies(build_on_meta(model), model)["vision"].macs()["paper"] / 1e9

    out = {}
    out["aim"], out["aim_m"] = changed("aim-l14", temporal_adapters=1)
    out["evl11"], out["evl11_m"] = changed("evl-b16", layers=11)
    _, out["evl_alone_m"] = changed("evl-b16", temporal_cross_attention=False)
    out["st_adapter"], out["st_adapter_m"] = changed("st-adapter-b16", pre_attn=True)
    for size in ("b16", "l14"):
        products = costs[f"side4video/evl-{size}"]["gmacs_by"]["macs"]["vision"]
        model = models[f"side4video/evl-{size}"]
        out[f"evl_{size}_pairs"] = 3 * with_two_neighbours(model, products)
    dist, e14 = models["side4video/dist-b16"], models["side4video/e14-ssv2-f8"]
    width = dist.options["temporal_width"]
    convolutions = 9 * dist.frames * dist.backbone.patches * width**2 * dist.backbone.layers
    out["dist_convolutions"] = convolutions / 1e9
    out["dist"] = 3 * (costs[dist.name]["gmacs"] - out["dist_convolutions"])
    out["e14_trunk"] = (stem(e14) + trunk(e14)) / 1e12
    f8, f32 = (costs[f"side4video/{name}"]["gmacs"] for name in ("aim-l14", "aim-l14-f32"))
    out["aim_over_time"] = f32 - 4 * f8
    return out | {f"tempme_{b}": unfolded(f"tempme/tempme-{b}") for b in ("b16", "b32")}


def text_at(plan, paper: str, place: str) -> str:
    """A variant's note, a standing reason, or what stands against what the paper says."""
    declared = plan.config.papers[paper]
    kind, _, key = place.partition(".")
    if kind == "variants":
        return declared.variants[key].note
    if kind == "reasons":
        return next(n.reasons[key] for n in declared.numbers if key in n.reasons)
    return next(c.against for c in declared.contradictions if c.says.startswith(place))


@pytest.mark.parametrize(("paper", "place", "says"), TYPED)
def test_a_typed_figure_is_computed(plan, figures, paper, place, says):
    assert says.format(**figures) in text_at(plan, paper, place)


def counted_verdicts(plan, costs, paper: str = "") -> list[str]:
    """The verdicts on the counted cells that have a number of ours."""
    rows = [row for name, made in costs.items() for row in counted(plan, name, made, "made.json")]
    cells = [c for c in verdicts.cells(plan, rows) if c.kind == "counted" and c.rows]
    return [c.verdict for c in cells if c.cell.startswith(paper)]


def test_the_documentation_counts_its_verdicts(plan, counted_costs):
    judged = counted_verdicts(plan, counted_costs[0])
    off, unlike = (NUMERALS[judged.count(verdict)] for verdict in ("off", "not comparable"))
    text = " ".join((REPO / "docs" / "verdicts.md").read_text(encoding="utf-8").split())
    cells = f"Of the {len(judged)} counted cells whose model can be built here"
    assert f"{cells}, {judged.count('match')} match. {off} are off, each with its reason" in text
    assert f"{unlike} are not comparable" in text
    e14 = counted_costs[0]["side4video/e14-ssv2-f8"]["gmacs"] / 1e3
    assert f"the released code costs {e14:.2f} T" in text


def test_the_papers_files_say_what_to_expect(plan, counted_costs):
    """The comment on top of each file names the cells that do not match."""

    def comment(paper: str) -> str:
        lines = (Path(plan.config.folder) / "papers" / f"{paper}.yaml").read_text().splitlines()
        return " ".join(line.removeprefix("# ") for line in lines if line.startswith("#"))

    ours, tempme = (counted_verdicts(plan, counted_costs[0], p) for p in ("side4video", "tempme"))
    assert f"but for {NUMERALS[ours.count('off')]} of EVL, DiST" in comment("side4video")
    assert "not comparable" not in ours
    assert tempme.count("off") == 1 and tempme.count("not comparable") == 3
    assert "(off), and for VoP" in comment("tempme")
