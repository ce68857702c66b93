"""Bad configuration: exit code 2 and one line that names file, key, what was expected."""

import itertools
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from helpers.common import REPO, one_line

from vidtune.plan import load, read_paper, schemas
from vidtune.plan.published_tables import places
from vidtune.spec import Recipe, UserError, parse

BAD = yaml.safe_load((REPO / "tests/helpers/bad_input.yaml").read_text())


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) >= 1, old
    path.write_text(text.replace(old, new, 1))


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
    code, _, err = vidtune("cost", "side4video/b16-ssv9")
    assert code == 2 and "did you mean" in one_line(err)


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


def test_every_config_file_names_its_schema_and_is_valid_by_it():
    generated = schemas()
    for path in [*(REPO / "config").glob("*.yaml"), *(REPO / "config/papers").glob("*.yaml")]:
        kind = "paper" if path.parent.name == "papers" else path.stem
        named = path.read_text().splitlines()[0].removeprefix("# yaml-language-server: $schema=")
        assert (path.parent / named).resolve() == REPO / f"config/schema/{kind}.schema.json"
        data = yaml.safe_load(path.read_text())
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
        from vidtune.plan.inherit import resolve_base

        resolve_base(Path("f.yaml"), "variants", {"a": 3}, "a")


def test_every_published_table_is_shown_in_the_papers_order():
    config = load(REPO / "config").config
    published = [(t.paper, t.where) for t in config.tables.values() if t.paper]
    printed = {(p.name, n.where) for p in config.papers.values() for n in p.numbers}
    listed = [(p.name, where) for p in config.papers.values() for where in places(p)]
    assert published == [place for place in listed if place in published]
    assert printed < {*published}  # some show our numbers alone
    names = list(config.tables)
    assert names.index("side4video-table2") < names.index("side4video-table10")
    assert config.tables["tempme-table2"].columns == ("r1", "r5", "r10")  # as printed
    assert config.tables["tempme-table2"].title == "TempMe, Table 2: MSR-VTT 1K-A"


def test_a_spec_reports_the_first_of_its_problems():
    given = {"name": "r", "task": "recognition", "lr": 1.0, "weight_decay": 0.0, "batch": 1}
    with pytest.raises(UserError, match=r"^f\.yaml: give either epochs or steps$"):
        parse(Recipe, {**given, "sampler": "stride"}, Path("f.yaml"))
    with pytest.raises(UserError, match=r"f\.yaml: r: stride: expected with samplers"):
        parse(Recipe, {**given, "steps": 1, "sampler": "stride"}, Path("f.yaml"), ("r",))
