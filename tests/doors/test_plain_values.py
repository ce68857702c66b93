"""YAML and JSON hold plain values of a bounded size; what is none is one line with its place."""

import os
import threading
from pathlib import Path

import pytest
from helpers.common import one_line

from vidtune.spec import (
    UserError,
    json_lines,
    load_json,
    parse_json,
    read_text,
    read_yaml,
    yaml_files,
)

CHAIN = "a: [&a0 [x, x], " + ", ".join(f"&a{k} [*a{k - 1}, *a{k - 1}]" for k in range(1, 30)) + "]"
NESTED = "a: [&a0 [x], " + ", ".join(f"&a{k} [*a{k - 1}]" for k in range(1, 40)) + "]"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a:\n  b: !!int abc", "2: tag:yaml.org,2002:int: values have no tags"),
        ("a: !!timestamp x", "no tags"),
        ("a: !!binary aGk=", "no tags"),
        ("a: !!python/object/apply:os.system [true]", "no tags"),
        ("a: !own x", "no tags"),
        ("!!set {a, b}", "no tags"),
        ("a: {<<: {b: 1}, b: 2}", "<<: keys are not merged"),
        ("a: &x {b: 1}\nc: {<<: *x}", "2: <<: keys are not merged"),
        ("a: 1\nb:\n  c: 1\n  c: 2", "4: c: declared twice"),
        ("a: &x [*x]", "1: *x: stands for nothing that ends above"),
        ("a: *x", "stands for nothing"),
        (CHAIN, "more than 200,000 values"),
        (NESTED, "more than 32 lists and mappings"),
        ("a: " + "[" * 10_000, "more than 32 lists and mappings"),
        ("a: " + "{a: " * 10_000, "more than 32 lists and mappings"),
        ('a: "\\e[31m"', "a control character"),
        ('a: "\\0"', "a control character"),
        ("1: a", "put 1 into quotes"),
    ],
)
def test_yaml_that_is_not_plain_is_one_line(tmp_path, text, says):
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as e:
        read_yaml(path)
    line = one_line(str(e.value))
    assert line.startswith(f"{path}:") and says in line


def test_what_a_plain_scalar_is(tmp_path):
    """Numbers are decimal; dates, sexagesimals, 010 and 1_000 are text, which a number's field refuses."""
    path = tmp_path / "a.yaml"
    texts = (
        "2024-01-01",
        "2024-13-45",
        "190:20:30",
        "1_0:2",
        "0x",
        "0x10",
        "010",
        "1_000",
        "=",
        "1" * 30,
    )
    numbers = {
        "1": 1,
        "-2": -2,
        "0": 0,
        "1.5": 1.5,
        "1e-3": 1e-3,
        ".5": 0.5,
        "-3.": -3.0,
        "+1E5": 1e5,
    }
    others = {"~": None, "": None, "null": None, "true": True, "No": False, "'1'": "1"}
    known = {**{t: t for t in texts}, **numbers, **others}
    path.write_text("".join(f"k{k}: {text}\n" for k, text in enumerate(known)))
    assert list(read_yaml(path).values()) == list(known.values())


def test_anchors_stand_for_their_values_and_keep_their_lines(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: &x {b: [1, 2]}\nc: *x\n")
    assert read_yaml(path) == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}
    assert yaml_files.place(path, ("c",)) == f"{path}:2"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 10_000, "lists and objects within each other"),
        ("[" * 65 + "]" * 65, "more than 64 lists and objects"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "key 'c' stands twice"),
        ("9" * 5000, "a whole number of 5000 digits"),
        ("[1" + "0" * 30 + "]", "a whole number of 31 digits"),
        ("{", "Expecting property name"),
        ("", "Expecting value"),
    ],
)
def test_json_that_is_not_plain_is_one_line(tmp_path, text, says):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError) as e:
        load_json(path)
    line = one_line(str(e.value))
    assert line.startswith(f"{path}: ") and says in line and "delete it" in line


def test_json_of_others_may_have_a_key_twice():
    assert parse_json('{"a": 1, "a": 2}', "f", "fix it", unique=False) == {"a": 2}
    assert parse_json('{"a": [1, 2.5, null]}', "f", "fix it") == {"a": [1, 2.5, None]}


def test_lines_end_with_a_line_feed_alone(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes('{"a": "x\u2028y\x85z"}\r\n[1]\n'.encode())
    assert list(json_lines(path, "x")) == [(1, {"a": "x\u2028y\x85z"}), (2, [1])]
    path.write_text('{}\n\n{"a": 1}')
    with pytest.raises(UserError, match=r"a\.jsonl:2: not valid JSON"):
        list(json_lines(path, "x"))


@pytest.mark.parametrize("read", [read_text, read_yaml, load_json])
def test_only_regular_files_are_read(tmp_path, read):
    os.mkfifo(pipe := tmp_path / "pipe")
    for path, kind in ((pipe, "a pipe"), (tmp_path, "a folder"), (Path("/dev/zero"), "a device")):
        found: list[str] = []

        def ask(path: Path = path, found: list[str] = found) -> None:
            with pytest.raises(UserError) as e:
                read(path)
            found.append(str(e.value))

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(20)
        assert found and found[0].startswith(f"{path}: {kind}; expected")


def test_a_file_has_a_largest_size(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("a: 1\n" * 100)
    monkeypatch.setattr(yaml_files, "MOST", 100)
    with pytest.raises(UserError, match=r"a\.yaml: more than 100 bytes"):
        read_yaml(tmp_path / "a.yaml")


def test_nothing_else_reads_yaml_and_json():
    """`parse_json` and `read_yaml` are the only doors; a process of our own answers on a pipe."""
    import re

    from helpers.common import REPO

    allowed = {f"vidtune/{p}" for p in ("spec/json_files.py", "spec/yaml_files.py", "gpu/watch.py")}
    rules = (REPO / "Snakefile", *(REPO / "workflow").rglob("Snakefile"))
    found = set()
    for path in (*(REPO / "vidtune").rglob("*.py"), *(REPO / "workflow").rglob("*.smk"), *rules):
        if re.search(
            r"json\.loads?\b|yaml\.\w*load|import yaml|pickle\.loads?\b", path.read_text()
        ):
            found.add(str(path.relative_to(REPO)))
    assert found <= allowed, found
