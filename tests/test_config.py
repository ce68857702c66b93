"""Bad configuration: exit code 2 and one line that names file, key, what was expected."""

import itertools
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import REPO, one_line

from vidtune.plan import load, read_paper, schemas
from vidtune.spec import UserError


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, old
    path.write_text(text.replace(old, new, 1))


S4V = "papers/side4video.yaml"
# (file, old text, new text, what the message must hold)
BAD = {
    "unknown key in a variant": (
        S4V,
        "label: Attention,",
        "lable: Attention,",
        ["b16-ssv1-attention", "lable", "unknown key", "known"],
    ),
    "unknown key in a recipe": (
        "recipes.yaml",
        "weight_decay: 0.15",
        "weight_decy: 0.15",
        ["recipes.yaml", "weight_decy", "unknown key"],
    ),
    "unknown key in config": (
        "config.yaml",
        "results: results",
        "result: results",
        ["config.yaml", "result", "unknown key"],
    ),
    "wrong type": (
        "backbones.yaml",
        "width: 768",
        "width: wide",
        ["backbones.yaml:6", "width", "integer", "wide"],
    ),
    "text for a number": (
        "recipes.yaml",
        "lr: 1.0e-3",
        'lr: "1.0e-3"',
        ["recipes.yaml", "lr", "number"],
    ),
    "undeclared backbone": (
        S4V,
        "backbone: vit-b16",
        "backbone: vit-b61",
        [S4V, "b16-ssv2.backbone", "vit-b61", "known", "vit-b16"],
    ),
    "undeclared dataset": (S4V, "dataset: ssv2", "dataset: ssv9", [S4V, "ssv9", "known"]),
    "undeclared recipe": (S4V, "recipe: side4video-ss-b", "recipe: none", [S4V, "recipe", "known"]),
    "unknown method": (
        S4V,
        "method: side4video,",
        "method: side5video,",
        [S4V, "side5video", "known methods"],
    ),
    "unknown option": (
        S4V,
        "temporal: attention",
        "temporl: attention",
        [S4V, "b16-ssv1-attention.options.temporl", "unknown key", "temporal"],
    ),
    "bad option value": (
        S4V,
        "temporal: attention",
        "temporal: lstm",
        [S4V, "options.temporal", "conv", "lstm"],
    ),
    "base not declared": (
        S4V,
        'base: b16-ssv2, label: "Ours B/16 light"',
        'base: b16-ssv7, label: "Ours B/16 light"',
        [S4V, "b16-light-ssv2.base", "b16-ssv7", "not declared"],
    ),
    "base cycle": (
        S4V,
        "{method: side4video, backbone: vit-b16,",
        "{base: l14-ssv2, method: side4video, backbone: vit-b16,",
        [S4V, "cycle", "b16-ssv2 -> l14-ssv2 -> b16-ssv2"],
    ),
    "duplicate variant": (
        S4V,
        "b16-ssv1-no-shift: {base",
        "b16-ssv1-attention: {base",
        [S4V, "b16-ssv1-attention", "declared twice"],
    ),
    "duplicate through each": (
        S4V,
        "layers: [4, 6]",
        "layers: [4, 4]",
        [S4V, "b16-ssv1-l4", "declared twice"],
    ),
    "undeclared row": (
        S4V,
        "b16-light-ssv2: {trunk_layers",
        "b16-lite-ssv2: {trunk_layers",
        [S4V, "b16-lite-ssv2", "neither a variant nor a cited system"],
    ),
    "a label of no row": (
        S4V,
        "labels: {b16-ssv1-cls:",
        "labels: {b16-ssv1-clss:",
        [S4V, "b16-ssv1-clss", "no row"],
    ),
    "text for a published number": (
        S4V,
        "{gflops: 455,",
        "{gflops: about 455,",
        [S4V, "rows.st-adapter-b16.gflops", "number"],
    ),
    "other views than the table's": (
        S4V,
        "views: 1x3\n    frames",
        "views: 3x2\n    frames",
        [S4V, "3x2", "1x3"],
    ),
    "other views than the row's": (
        S4V,
        "b16-ssv1-f8: {backbone: ViT-B/16, pretrain: CLIP-400M, frames: 8, views: 3x2}",
        "b16-ssv1-f8: {backbone: ViT-B/16, pretrain: CLIP-400M, frames: 8, views: 3x1}",
        [S4V, "b16-ssv1-f8", "3x1", "3x2"],
    ),
    "views that are none": (
        S4V,
        "frames: 32, views: 3x4}",
        "frames: 32, views: 12}",
        [S4V, "conditions.vivit-ssv2.views", "12"],
    ),
    "a condition of no row": (
        S4V,
        "vivit-ssv2: {backbone",
        "vivit-ssv3: {backbone",
        [S4V, "vivit-ssv3", "no row"],
    ),
    "an unknown condition": (
        S4V,
        "gpu: A100 80G",
        "gpus: A100 80G",
        [S4V, "gpus", "unknown key", "gpu"],
    ),
    "a cited system without its name": (
        S4V,
        "video-swin-ssv2: {label: Video Swin-B,",
        "video-swin-ssv2: {name: Video Swin-B,",
        [S4V, "cited.video-swin-ssv2", "name", "unknown key"],
    ),
    "a cited system that is text": (
        S4V,
        "vit-b: {label: ViT-B,",
        "vit-b: ViT-B #",
        [S4V, "cited.vit-b"],
    ),
    "a cited system that is a variant": (
        S4V,
        "  vit-b: {label",
        "  b16-ssv2: {label",
        [S4V, "cited.b16-ssv2", "variant"],
    ),
    "a cited system of no table": (
        S4V,
        "  vit-b: {label",
        "  vit-g: {label: ViT-G}\n  vit-b: {label",
        [S4V, "cited.vit-g", "no table"],
    ),
    "a contradiction of no cell": (
        S4V,
        "cells: [e14-ssv2-f16/top1]",
        "cells: [e14-ssv2-f16/top2]",
        [S4V, "contradictions.0.cells", "e14-ssv2-f16/top2"],
    ),
    "half a contradiction": (
        S4V,
        "says: 74.6 % on SSV2 with ViT-E",
        "sais: 74.6 % on SSV2 with ViT-E",
        [S4V, "contradictions.0.sais", "unknown key"],
    ),
    "a name that is no folder's": (
        S4V,
        "b16-ssv1-probe: {base",
        "b16/probe: {base",
        [S4V, "b16/probe", "letters"],
    ),
    "a name with a space": (
        S4V,
        "b16-ssv1-probe: {base",
        "b16 probe: {base",
        [S4V, "b16 probe", "letters"],
    ),
    "a key that is no text": (S4V, "b16-ssv1-probe: {base", "16: {base", [S4V, "16", "quotes"]),
    "a base that is no name": (
        S4V,
        "b16-ssv1-probe: {base: b16-ssv1,",
        "b16-ssv1-probe: {base: [b16-ssv1],",
        [S4V, "b16-ssv1-probe.base", "one name"],
    ),
    "options that are no mapping": (
        S4V,
        "options: {temporal: attention}",
        "options: 3",
        [S4V, "b16-ssv1-attention.options"],
    ),
    "each without its key in the name": (
        S4V,
        "b16-ssv1-l{layers}",
        "b16-ssv1-l{layer}",
        [S4V, "each", "name"],
    ),
    "each with a wrong label": (
        S4V,
        'label: "{layers} layers"',
        'label: "{laiers} layers"',
        [S4V, "label"],
    ),
    "a claim about no metric": (
        S4V,
        "{metric: train_gb, of: b16-light-ssv2, against: st-adapter-b16",
        "{metric: train_tb, of: b16-light-ssv2, against: st-adapter-b16",
        [S4V, "train_tb", "not declared"],
    ),
    "half a claim": (
        S4V,
        "against: st-adapter-b16, percent: -70}",
        "against: st-adapter-b16}",
        [S4V, "claims.light-saves-memory", "percent"],
    ),
    "a patch of nothing": (
        "backbones.yaml",
        "patch: 32",
        "patch: 0",
        ["backbones.yaml", "patch", "greater than 0"],
    ),
    "no steps": (
        "recipes.yaml",
        "steps: 640",
        "steps: 0",
        ["recipes.yaml", "steps", "greater than 0"],
    ),
    "no frames": (S4V, "frames: 8", "frames: 0", [S4V, "frames", "greater than 0"]),
    "a pattern that matches nothing": (
        "scales.yaml",
        "- side4video/b16-ssv1-cls",
        "- side4video/b17-ssv1-cls",
        ["scales.yaml", "smoke.learn", "b17"],
    ),
    "a seed twice": (
        "scales.yaml",
        "[0, 1, 2]",
        "[0, 1, 1]",
        ["scales.yaml", "mini", "seeds", "distinct"],
    ),
    "a scale's recipe of another task": (
        "scales.yaml",
        '"recognition/*": mini-recognition',
        '"recognition/*": mini-retrieval',
        ["scales.yaml", "mini", "recognition"],
    ),
    "a table of no paper": (
        "tables/tempme-table1.yaml",
        "paper: tempme",
        "paper: tempmee",
        ["tempme-table1.yaml", "tempmee"],
    ),
    "a table of nothing printed": (
        "tables/tempme-table1.yaml",
        "where: [Table 1]",
        "where: [Table 88]",
        ["tempme-table1.yaml", "Table 88", "known"],
    ),
    "a control character": (S4V, "cite:", "ci\x07te:", [S4V, "not valid YAML"]),
    "an unknown section": (
        "datasets.yaml",
        "\ndatasets:\n",
        "\ndata_sets:\n",
        ["datasets.yaml", "data_sets", "unknown"],
    ),
    "undeclared metric": (
        S4V,
        "beta1: 0.9, beta2: 0.999",
        "beta_1: 0.9, beta2: 0.999",
        [S4V, "beta_1", "not declared"],
    ),
    "no YAML": (S4V, "cite:", "cite: [", [S4V, "not valid YAML"]),
    "unknown paper": (
        "config.yaml",
        "[side4video, tempme]",
        "[side4video, tempmee]",
        ["config.yaml", "tempmee", "no file"],
    ),
    "wrong task": (S4V, "method: linear_probe", "method: lora", [S4V, "lora is for retrieval"]),
    "bad view": (S4V, "views: 1x3", "views: 3", [S4V, "views"]),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case, config, vidtune):
    file, old, new, words = BAD[case]
    edit(config / file, old, new)
    scale = "smoke" if "smoke.learn" in words else "mini"
    code, _, err = vidtune("plan", "--config", config, "--scale", scale)
    assert code == 2
    line = one_line(err)
    for word in words:
        assert word in line, line


def test_missing_and_undecodable_files(config, vidtune):
    (config / "metrics.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in one_line(vidtune("ls", "--config", config)[2])
    (config / "metrics.yaml").unlink()
    code, _, err = vidtune("ls", "--config", config)
    assert code == 2 and "metrics.yaml: No such file" in one_line(err)


def test_unknown_variant(vidtune):
    code, _, err = vidtune("cost", "side4video/b99")
    assert code == 2 and "not a declared variant" in one_line(err) and "b16-ssv1" in err


def test_numbers_with_an_exponent_are_numbers(config):
    edit(config / "recipes.yaml", "lr: 1.0e-3", "lr: 1e-3")
    assert load(config).config.recipes["side4video-ss-b"].lr == 1e-3


def test_schemas_on_disk_are_the_generated_ones():
    """They are for editors; `vidtune schema` writes them again."""
    for name, content in schemas().items():
        path = REPO / "config" / "schema" / f"{name}.schema.json"
        assert json.loads(path.read_text()) == content, (
            f"run `vidtune schema`: {path} is out of date"
        )


def test_schemas_accept_the_configuration():
    generated = schemas()
    for path in [*(REPO / "config").glob("*.yaml"), *(REPO / "config").glob("*/*.yaml")]:
        kind = {"papers": "paper", "tables": "table"}.get(path.parent.name, path.stem)
        data = yaml.safe_load(path.read_text())
        if kind == "datasets":
            jsonschema.validate(data["files"], generated["files"])
            data = data["datasets"]
        jsonschema.validate(data, generated[kind])


def test_base_inherits_options_with_the_method_only(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(
        """
cite: {key: k, title: t, arxiv: "1", code: a/b@c}
variants:
  a: {method: side4video, backbone: vit-b16, dataset: ssv1, frames: 8, recipe: r, options: {layers: 6, width: 192}}
  b: {base: a, options: {width: 128}}
  c: {base: a, method: linear_probe}
  "d-{frames}-{fuse}": {base: b, each: {frames: [8, 16], fuse: [half, sum]}, label: "{frames} {fuse}"}
"""
    )
    v = read_paper(path).variants
    assert v["b"].options == {"layers": 6, "width": 128}
    assert v["c"].options == {}
    assert v["d-16-sum"].frames == 16 and v["d-16-sum"].options["fuse"] == "sum"
    assert v["d-16-sum"].label == "16 sum" and len(v) == 7


def test_environment_has_the_versions_of_pyproject():
    """conda's file cannot be solved in the tests; its lower bounds must be the package's."""
    import tomllib

    declared = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]["dependencies"]
    conda = yaml.safe_load((REPO / "environment.yml").read_text())["dependencies"]
    names = {"torch": "pytorch"}

    def split(text: str) -> tuple[str, str]:
        name, bound = re.fullmatch(r"([\w.-]+)(>=.*)", text.replace(" ", "")).groups()
        return names.get(name, name), bound

    plain = [d for d in conda if isinstance(d, str) and not d.startswith(("python", "pip"))]
    assert dict(map(split, plain)) == dict(map(split, declared))
    assert "python>=3.11" in [d.replace(" ", "") for d in conda if isinstance(d, str)]


def test_constraints_pin_every_dependency():
    import tomllib

    text = (REPO / "constraints.txt").read_text()
    assert "+cpu" not in text and "file:" not in text and " @ " not in text
    pinned = dict(line.split("==") for line in text.splitlines() if line and line[0] != "#")
    project = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *itertools.chain(*project["optional-dependencies"].values()),
    ]
    low = {k.lower() for k in pinned}
    assert {re.split(r"[>=]", w)[0].lower() for w in wanted} <= low


def test_unreadable_base_shape():
    with pytest.raises(UserError, match="expected a mapping"):
        from vidtune.plan.papers import resolve_base

        resolve_base(Path("f.yaml"), "variants", {"a": 3}, "a")


def test_every_published_table_has_a_file_with_all_its_columns():
    config = load(REPO / "config").config
    shown = {
        (t.paper, where): set(t.columns)
        for t in config.tables.values()
        if t.paper
        for where in t.where
    }
    for paper in config.papers.values():
        for n in paper.numbers:
            if n.where.startswith("Table"):
                printed = {metric for cells in n.rows.values() for metric in cells}
                assert printed <= shown[paper.name, n.where], n.where
