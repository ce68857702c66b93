"""Numbers of ours in texts of the configuration."""

import pytest

from vidtune.report import cell_names, texts, verdicts
from vidtune.report.explain import counted_variants, explain
from vidtune.report.numbers.rows import FULL_SIZE, index_rows, our_row
from vidtune.spec.placeholders import PLACEHOLDER, filled_texts

CELL = "side4video/table2/evl-l14/gflops"


def strings(value):
    """Every string inside a dumped configuration."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from strings(inner)


def ours(plan, variant, metric, value):
    m = plan.config.metrics[metric]
    return our_row(m, variant=variant, value=value, where="made.json", scale=FULL_SIZE)


def test_placeholders_stand_where_they_are_filled(plan):
    for paper in plan.config.papers.values():
        places = [m for _, text in filled_texts(paper) for m in PLACEHOLDER.finditer(text)]
        every = strings(paper.model_dump(mode="json"))
        assert places and len(places) == sum(len(PLACEHOLDER.findall(text)) for text in every)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("costs {evl-l14/gflops}.", "costs 2393.8."),
        ("costs {evl-l14/gflops:.0f}.", "costs 2394."),
        ("costs {evl-b16/gflops}.", "costs (not computed yet)."),
        ("VoP^{F+C} and {nothing}", "VoP^{F+C} and {nothing}"),
    ],
)
def test_a_text_takes_our_number(plan, text, filled):
    rows = index_rows([ours(plan, "side4video/evl-l14", "gflops", 2393.844)])
    assert texts.fill(plan, "side4video", text, rows) == filled


def test_reasons_and_contradictions_are_filled_wherever_they_are_shown(plan):
    row = ours(plan, "side4video/evl-l14", "gflops", 1234.5)
    cell = next(c for c in verdicts.cells(plan, [row]) if c.cell == CELL)
    assert cell.verdict == "off" and "1234.5" in cell.reason
    shown = explain(plan, CELL, [row])
    assert "1234.5" in shown.cell.reason
    assert any("costs 1234;" in c.against for c in shown.contradictions)
    assert not any(PLACEHOLDER.search(text) for text in strings(shown.model_dump()))


def test_memory_of_full_fine_tuning_is_not_typed_by_hand(plan):
    rows = index_rows(
        ours(plan, f"tempme/{variant}", "train_gib", value)
        for variant, value in (("tempme-full-b16", 38.23), ("clip4clip-b16", 66.34))
    )
    against = [c.against for c in texts.contradictions(plan, "tempme", rows)]
    assert any("38.23 of 66.34 GiB" in text for text in against)


def test_explain_counts_what_its_texts_name(plan):
    named = cell_names.find(plan, "side4video/table4/e14-ssv2-f8/tflops")
    assert counted_variants(plan, named) == {"side4video/e14-ssv2-f8", "side4video/e14-ssv2-f16"}
