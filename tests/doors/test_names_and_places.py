"""A name is one part of a path, and nothing is replaced or deleted that this project did not make."""

import json
import os
from pathlib import Path

import pytest
from helpers.common import one_line, plan_at

from vidtune.cost.paper_costs import KEPT
from vidtune.motion import generate
from vidtune.spec import Costing, Dataset, Run, UserError, parse, write_json, write_text
from vidtune.spec.names import check_path, expand

BAD = ("../x", "a/b", "..", ".", "", "/etc", "-x", ".x", "a b", "a\n", "é", "x" * 101, "a\0", "~")


@pytest.mark.parametrize("name", BAD)
def test_a_name_is_one_safe_part_of_a_path(name, vidtune, tmp_path):
    for kind, given in (
        (Costing, {"paper": name, "models": []}),
        (Dataset, {"name": name, "task": "retrieval"}),
    ):
        with pytest.raises(UserError, match="expected a name of at most 100 letters"):
            parse(kind, given, Path("f.json"))
    run = json.loads(next(iter(plan_at(tmp_path).runs.values())).model_dump_json())
    for field in (f"{name}/b@0", f"a/{name}@0", name):
        with pytest.raises(UserError, match=r"f\.json: name: expected <paper>/<variant>@<seed>"):
            parse(Run, {**run, "name": field}, Path("f.json"))


@pytest.mark.parametrize(
    "argv",
    [
        ["ls", "--papers", "../papers/tempme"],
        ["ls", "--scale", "a/b"],
        ["ls", "--results", ""],
        ["run", "b16-ssv1", "--scale", "a/b"],
        ["run", "b16-ssv1", "--results", ""],
        ["diff", "a", "b", "--scale", ".."],
        ["plan", "--profile", ""],
        ["report", "--only", ""],
        ["data", "index", "mine", "--done", ""],
    ],
)
def test_arguments_that_become_paths_are_checked(argv, vidtune, capsys):
    with pytest.raises(SystemExit) as ended:
        vidtune(*argv)
    assert ended.value.code == 2
    line = one_line(capsys.readouterr().err)
    assert f": argument {argv[-2]}: expected" in line and "--help" in line


def test_a_paper_with_dots_deletes_nothing(tmp_path, vidtune):
    victim = tmp_path / "victim" / "precious.json"
    write_text(victim, "{}")
    write_json(tmp_path / "spec.json", {"paper": "../../victim", "models": []})
    code, _, err = vidtune(
        "cost", "--spec", tmp_path / "spec.json", "--out", tmp_path / "r" / "o" / "x.json"
    )
    assert code == 2 and "paper: expected a name" in one_line(err) and victim.exists()
    write_json(tmp_path / "spec.json", {"paper": "p", "models": []})
    write_text(own := tmp_path / "kept" / "p" / "mine.json", "{}")
    write_text(old := tmp_path / "kept" / "p" / f"{'0' * 12}-{'a' * 12}.json", "{}")
    assert KEPT.fullmatch(old.name)
    code, _, _ = vidtune("cost", "--spec", tmp_path / "spec.json", "--out", tmp_path / "x.json")
    assert code == 0 and own.exists() and not old.exists()


def test_no_file_takes_the_place_of_what_is_none(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("/dev/null")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "link", "folder"):
        with pytest.raises(UserError, match=f"{name}: cannot write: it is a {name}"):
            write_text(tmp_path / name, "x")
    with pytest.raises(UserError, match="/dev/null: cannot write: it is a device"):
        write_text(Path("/dev/null"), "x")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_generated_videos_replace_no_other_dataset(tmp_path):
    asked = plan_at(tmp_path, "smoke").config.generated["motion-smoke"]
    asked = asked.model_copy(update={"clips": {"train": 2, "val": 0, "test": 2}})
    write_json(tmp_path / "manifest.json", {"classes": ["mine"]})
    write_text(tmp_path / "decoded" / "mine.npy", "x")
    with pytest.raises(
        UserError, match=r"manifest\.json: not of generated videos; choose another folder"
    ):
        generate.generate(asked, tmp_path)
    (tmp_path / "manifest.json").unlink()
    generate.generate(asked, tmp_path)
    assert (tmp_path / "decoded" / "mine.npy").exists()


def test_a_path_is_one_that_a_file_system_has(monkeypatch):
    for text in ("", " ", "a\0b", "a\nb", "x" * 256, "\ud800", "a/" * 2000):
        with pytest.raises(ValueError, match="path"):
            check_path(text)
    for text in ("a", "../a b/é", "\udcff", "x" * 255):
        assert check_path(text) == text
    with pytest.raises(UserError, match="folder: ~no-such-user/x: no home folder is known"):
        expand("~no-such-user/x", "folder")
    monkeypatch.setenv("HOME", "/h")
    assert expand("~/x", "folder") == Path("/h/x")


@pytest.mark.parametrize(
    "argv",
    [
        ("plan", "--gpus", ""),
        ("claims", ""),
        ("verify", "--paper", ""),
        ("verify", "--table", ""),
        ("reference", "--machine", " "),
    ],
    ids=" ".join,
)
def test_an_empty_argument_is_not_one_that_was_left_out(argv, vidtune):
    code, _, err = vidtune(*argv)
    assert code == 2 and ("''" in err or "empty" in err), one_line(err)
