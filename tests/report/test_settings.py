"""Printed settings against what the configuration declares."""

import pytest

from vidtune.report import verdicts
from vidtune.report.numbers import settings


def judged(plan, cell, ours):
    return next(c for c in verdicts.cells(plan, ours) if c.cell == cell)


def printed_settings(plan):
    """Metrics of kind setting that a paper prints for one of its variants."""
    return {
        metric
        for paper in plan.config.papers.values()
        for numbers in paper.numbers
        for row, columns in numbers.rows.items()
        for metric in columns
        if row in paper.variants and plan.config.metrics[metric].kind == "setting"
    }


def test_every_printed_setting_is_read_and_has_a_value(plan):
    printed = printed_settings(plan)
    assert printed <= set(settings.READ)
    assert {row.metric for row in settings.declared(plan)} == printed


@pytest.mark.parametrize(("metric", "cells"), [("flip", 9), ("repeats", 9), ("gray", 3)])
def test_the_augmentation_of_table_12_is_the_recipes(plan, metric, cells):
    ours = list(settings.declared(plan))
    table = [
        c
        for c in verdicts.cells(plan, ours)
        if c.cell.startswith("side4video/table12/") and c.metric == metric
    ]
    assert [c.verdict for c in table] == ["match"] * cells


def test_a_recipe_without_augmentation_changes_nothing(plan):
    variant = plan.variants["side4video/b32-msrvtt"]
    recipe = plan.config.recipes[variant.recipe]
    assert recipe.augment is None
    declared = settings.Declared(
        plan.models["side4video/b32-msrvtt"], recipe, plan.config.datasets[variant.dataset]
    )
    read = [settings.READ[metric](declared) for metric in ("flip", "gray", "repeats")]
    assert read == [0.0, 0.0, 1]


def test_a_setting_without_a_reader_does_not_look_like_one_that_is_absent(plan, monkeypatch):
    cell = "side4video/table12/e14-ssv2-f8/flip"
    assert "the variant's configuration" in judged(plan, cell, []).reason
    monkeypatch.delitem(settings.READ, "flip")
    missing = judged(plan, cell, list(settings.declared(plan)))
    assert missing.verdict == "not run" and "numbers/settings.py" in missing.reason
