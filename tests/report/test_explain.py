"""`vidtune explain`, the origins of settings, and the names of cells."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune.plan import load
from vidtune.plan.origins import at_scale, origins
from vidtune.report import cell_names, verdicts
from vidtune.report.explain import explain
from vidtune.spec import UserError, read_yaml

B16 = "side4video/table2/b16-ssv2/gflops"


def of(plan, variant, part, field):
    return next(o for o in origins(plan, variant) if (o.part, o.field) == (part, field))


# --- names ---


def test_every_cell_is_found_by_its_name_and_by_its_label(plan, monkeypatch):
    cells = verdicts.cells(plan, [])
    known = cell_names.known_names(plan)
    monkeypatch.setattr(cell_names, "known_names", lambda plan: known)  # which `find` builds anew
    assert {c.cell for c in cells} == {cell.cell for cells in known.values() for cell in cells}
    for cell in cells:
        assert cell_names.find(plan, cell.cell).cell == cell.cell


@pytest.mark.parametrize(
    "name",
    [
        "side4video/table2/ours-b16/gflops",
        "side4video/table-2/b16-ssv2/gflops",
        "side4video/Table 2/Ours-B16/GFLOPs",
    ],
)
def test_a_cell_goes_by_several_names(plan, name):
    assert cell_names.find(plan, name).cell == B16


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("side4video/table2/ours-b61/gflops", "did you mean .*table2/ours-b16/gflops"),
        ("side4video/table2/b16-ssv2/gflop", f"did you mean {B16}"),
        ("side4video/table2", "below it: .*b16-ssv2"),
        ("nothing/of/the/kind", "known: "),
    ],
)
def test_a_wrong_name_says_which_ones_come_close(vidtune, name, says):
    code, out, err = vidtune("explain", name)
    assert (code, out) == (2, "")
    assert re.search(says, one_line(err))


def test_a_label_of_several_rows_asks_for_one(config):
    path = config / "papers" / "side4video.yaml"
    path.write_text(path.read_text().replace('label: "Ours B/16 light"', 'label: "Ours B/16"'))
    with pytest.raises(UserError, match=r"several rows; name one: .*b16-light-ssv2"):
        cell_names.find(load(config), "side4video/table2/ours-b16/gflops")


# --- origins ---


def test_every_hyper_parameter_has_one_origin_that_stands_where_it_says(plan, monkeypatch):
    """The line that is named holds the field, whatever declares it."""
    monkeypatch.setattr("vidtune.plan.origins.read_yaml", cache(read_yaml))
    for name, variant in plan.variants.items():
        declared = origins(plan, name) + at_scale(plan, name)
        keys = [(o.part, o.field) for o in declared]
        assert len(set(keys)) == len(keys)
        options = {o.field: o.value for o in declared if o.part == "options"}
        assert options == plan.models[name].options
        recipe = plan.config.recipes[variant.recipe]
        has = {o.field for o in declared if o.part == "recipe"}
        assert has == set(type(recipe).model_fields) - {"name", "source"}
        assert all(o.source for o in declared if o.part == "recipe" and o.of != "default")
        for o in declared:
            file, _, line = o.where.rpartition(":")
            path = Path(file) if Path(file).is_absolute() else REPO / file
            text = path.read_text(encoding="utf-8").splitlines()[int(line) - 1]
            assert o.field in text or o.of.startswith("scale "), o


def test_an_origin_is_the_nearest_entry_that_gives_the_value(plan):
    width = of(plan, "side4video/b16-ssv1-w128", "options", "width")
    assert (width.value, width.of) == (128, "variant")
    views = of(plan, "side4video/b16-ssv1-w128", "variant", "views")
    assert (views.value, views.of) == ("1x1", "base b16-ssv1")
    layers = of(plan, "side4video/b16-ssv1-w128", "options", "layers")
    assert (layers.value, layers.of) == (12, "base b16-ssv2")
    fuse = of(plan, "side4video/b16-ssv1-w128", "options", "fuse")
    assert fuse.of == "default" and fuse.where.startswith("vidtune/methods/side4video/options.py:")
    assert "halve" in fuse.says
    lr = of(plan, "side4video/b16-ssv1", "recipe", "lr")
    assert lr.of == "recipe side4video-ss-b" and "Table 12" in lr.source
    assert lr.says.startswith("sthv2_train_rgb_vitb-16-side4video.yaml:43")


def test_options_are_no_legacy_of_another_method(config):
    """A base of another method gives its fields, but not its options."""
    path = config / "papers" / "mine.yaml"
    path.write_text(
        "cite: {key: me, title: Mine, arxiv: '0000.00000', code: me/mine@1}\n"
        "variants:\n"
        "  first: {method: lora, backbone: vit-b32, dataset: msrvtt, frames: 12,"
        " recipe: tempme-retrieval, options: {lora_rank: 4}}\n"
        "  second: {base: first, method: tempme}\n"
        "  third: {base: second, options: {cross: 20}}\n"
    )
    plan = load(config, {"papers": ["mine"]})
    rank = of(plan, "mine/third", "options", "lora_rank")
    assert (rank.value, rank.of) == (8, "default")
    assert of(plan, "mine/third", "options", "cross").of == "variant"
    assert of(plan, "mine/third", "variant", "frames").of == "base first"


def test_an_origin_says_what_a_scale_puts_in_its_place(plan):
    swapped = {o.field: o for o in at_scale(plan, "side4video/b16-ssv1-w128") if o.part == "scale"}
    assert swapped["backbone"].says == "in place of vit-b16"
    assert (swapped["width"].value, swapped["layers"].value) == (8, 6)
    assert "of 128, by the ratio" in swapped["width"].says
    assert (swapped["frames"].value, swapped["frames"].says) == (4, "in place of 8")
    longer = at_scale(plan_at(Path("nowhere"), "mini-long"), "side4video/b16-ssv1-w128")
    # the backbone by its base, the recipe by its own
    assert {o.of for o in longer if o.part == "scale"} == {
        "scale mini",
        "scale mini-long",
        "mapped",
    }
    full = plan_at(Path("nowhere"), "full")
    assert at_scale(full, "side4video/b16-ssv1-w128") == []


# --- the explanation ---


def test_neighbours_differ_in_what_is_set_otherwise(plan):
    e = explain(plan, "side4video/table2/b16-light-ssv2/params_tuned", [])
    after = next(n for n in e.neighbours if n.row == "b16-ssv2")
    assert after.print == "21"
    assert after.differs == ("layers 12, here 6", "width 320, here 192")
    before = next(n for n in e.neighbours if n.row != "b16-ssv2")
    assert f"method {plan.variants[f'side4video/{before.row}'].method}, here side4video" in (
        before.differs
    )


def test_an_explanation_in_words_and_as_json(vidtune, tmp_path):
    code, out, _ = vidtune("explain", "side4video/table2/ours-b16/train_gb", "--results", tmp_path)
    assert code == 0
    assert "not run" in out and "make bench-gpu" in out
    assert "[variant, config/papers/side4video.yaml:" in out
    assert "vidtune memory side4video/b16-ssv2 --batch 32 --precision amp16" in out
    assert "python benchmarks/published.py --only side4video/b16-ssv2" in out
    code, out, _ = vidtune("explain", "side4video/table9f/320/top-1", "--json")
    explained = json.loads(out)
    assert code == 0 and explained["cell"]["cell"] == "side4video/table9f/b16-ssv1/top1"
    assert {o["part"] for o in explained["at_scale"]} == {"scale", "scale's recipe"}
    assert explained["recompute"][0].startswith("snakemake --cores all --config scale=mini -- ")
    setting, hours = (
        "side4video/table1/b16-light-ssv2/trunk_layers",
        "tempme/table5/clip4clip-b16/train_hours",
    )
    for name in (setting, hours):
        assert json.loads(vidtune("explain", name, "--json")[1])["recompute"] == []


def test_a_contradiction_is_shown_at_the_cells_it_touches(plan, vidtune):
    touched = explain(plan, "side4video/table3/ours-b32/train_gb", [])
    assert any("B/16" in c.says and "B/32" in c.against for c in touched.contradictions)
    full = explain(plan, "tempme/table5/tempme-full-b16/train_gb_log", [])
    assert any("75.2 %" in c.says and "reserved" in c.note for c in full.contradictions)
    assert "reserved, not needed" in vidtune("explain", full.cell.cell)[1]
    other = explain(plan, "side4video/table2/b16-ssv2/top1", [])
    assert not {c.says for c in other.contradictions} & {c.says for c in touched.contradictions}


def test_explaining_a_counted_cell_counts_it(vidtune, tmp_path):
    code, out, _ = vidtune("explain", "tempme/table1/lora-b32/gflops", "--results", tmp_path)
    assert code == 0
    assert re.search(r"numbers +print 53.0 ours 5[23]\.\d GMACs", out)
    assert "computed by" in out
