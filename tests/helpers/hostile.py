"""Inputs that no door may take for granted: as YAML, as JSON values, as names, and as places."""

import json
import os
import re
import socket
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

DEEP = 5000
YAML = [
    *(
        "!!int abc",
        "!!float x",
        "!!bool maybe",
        "!!timestamp x",
        "!!null x",
        "!!binary aGk=",
        "! x",
    ),
    *("!!python/object/apply:os.system [true]", "!!set {a, b}", "!!omap [a: 1]", "!!str 5", "!x y"),
    *(
        "2024-13-45",
        "2024-02-30",
        "0x",
        "0b2",
        "0o9",
        "010",
        "1_0:2",
        "190:20:30",
        "1_000",
        "+.5e+",
    ),
    *(".inf", "-.INF", ".nan", "1e999", "-1", "0", "1.5", "9" * 5000, "1" * 19, "-" + "9" * 18),
    *("[" * DEEP, "{a: " * DEEP, "[" * 40 + "]" * 40, "&x [*x]", "*nothing", "{<<: {a: 1}, a: 2}"),
    *("{<<: [{a: 1}, {a: 2}]}", "{a: 1, a: 2}", "{1: 2}", "{[a]: b}", "{~: 1}", "= ", "<<", "? x"),
    *(
        "~",
        "{}",
        "[]",
        '""',
        '"\\0"',
        '"\\e[31m"',
        '"a\\nb"',
        '"\\ud800"',
        "yes",
        "no",
        "|",
        ">-",
        "%",
    ),
    *(
        "../../victim",
        "/etc/passwd",
        "~nobody-at-all/x",
        "a/b",
        ".",
        "..",
        "n" * 300,
        "é",
        "\u202e",
    ),
    "[&a [x, x, x], "
    + ", ".join(f"&b{k} [*{'a' if not k else f'b{k - 1}'}, *a]" for k in range(60))
    + "]",
    "[&c0 [x, x], " + ", ".join(f"&c{k} [*c{k - 1}, *c{k - 1}]" for k in range(1, 60)) + "]",
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 1, 1.5, 10**18, -(10**18), 1e308, float("nan"), float("inf")),
    *(
        "",
        " ",
        "x",
        "\0",
        "\n",
        "\x1b[2J",
        "\u2028",
        "../../victim",
        "/etc/passwd",
        "n" * 300,
        "<b>",
    ),
    *([], [1], [[]], [None], [["a", "b"]], {}, {"a": None}, {"": ""}, {"../x": 1}, [{}], ["x"] * 3),
]
RAW = [
    *(
        "",
        "{",
        "[]",
        "null",
        "1",
        '"x"',
        "{}",
        "NaN",
        "[" * DEEP,
        '{"a":' * DEEP,
        "9" * 5000,
        "\ufeff{}",
    ),
    *(
        '{"a": 1, "a": 2}',
        '"\\ud800"',
        "{'a': 1}",
        "\0",
        "[1,]",
        "[" * 900 + "]" * 900,
        "-" + "9" * 400,
    ),
]
NAMES = [
    *(
        "",
        " ",
        ".",
        "..",
        "...",
        "../x",
        "/",
        "/etc",
        "a/b",
        "a\\b",
        "-x",
        "--",
        "~",
        "~root",
        "a b",
        "\n",
    ),
    *(
        "\0",
        "a\nb",
        "\x1b[31m",
        "é",
        "x" * 101,
        "x" * 300,
        "CON",
        "a:b",
        "*",
        "a*",
        "[a]",
        "{a}",
        "$HOME",
    ),
    *(
        "tempme",
        "../tempme",
        "./tempme",
        "tempme/",
        "smoke",
        "reference",
        "\udcff",
        "\u202ea",
        "0",
        "1e9",
    ),
]


def settings() -> dict[str, Any]:
    """Few inputs, the same each time; with FUZZ=2000 as many, others each time."""
    asked = os.environ.get("FUZZ")
    return {
        "max_examples": int(asked or 50),
        "derandomize": asked is None,
        "deadline": None,
        "database": None,
    }


@st.composite
def yaml_edits(draw: st.DrawFn, text: str) -> str:
    """A YAML file with one thing changed."""
    lines = text.split("\n")
    at = draw(st.integers(0, len(lines) - 1))
    how = draw(
        st.sampled_from(["value", "value", "value", "whole", "twice", "drop", "cut", "insert"])
    )
    new = draw(st.sampled_from(YAML) | st.text(max_size=20))
    if how == "value":
        keys = list(re.finditer(r"[\w-]+: *(?=[^\s&|>])[^,{}\[\]\n]+", text))
        match = keys[at % len(keys)]
        key = match[0].partition(":")[0]
        return f"{text[: match.start()]}{key}: {new}{text[match.end() :]}"
    if how == "whole":
        return new
    if how == "twice":
        lines.insert(at, lines[at])
    elif how == "drop":
        del lines[at]
    elif how == "cut":
        return text[: draw(st.integers(0, len(text)))]
    else:
        lines.insert(at, new)
    return "\n".join(lines)


def _paths(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    return [path, *(p for key, value in inner for p in _paths(value, (*path, key)))]


@st.composite
def json_edits(draw: st.DrawFn, text: str) -> str:
    """A JSON text with one value changed, dropped or added, or another text in its place."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from(RAW) | st.builds(lambda k: text[:k], st.integers(0, len(text))))
    data = json.loads(text)
    places = _paths(data)
    path = places[draw(st.integers(0, len(places) - 1))]
    new = draw(st.sampled_from(VALUES))
    if not path:
        return json.dumps(new)
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    how = draw(st.sampled_from(["value", "value", "drop", "add"]))
    if how == "value":
        inner[path[-1]] = new
    elif how == "drop":
        del inner[path[-1]]
    elif isinstance(inner, dict):
        inner["zzz"] = new
    else:
        inner.insert(0, new)
    return json.dumps(data)


def odd_places(folder: Path) -> list[Path]:
    """A pipe, a socket, links, a folder and a device, which no writer replaces and no reader waits for."""
    folder.mkdir()
    os.mkfifo(folder / "pipe")
    (folder / "folder").mkdir()
    (folder / "file").write_text("mine")
    (folder / "link").symlink_to(folder / "file")
    (folder / "broken").symlink_to(folder / "nothing")
    (folder / "loop").symlink_to(folder / "loop")
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket is short
        try:
            s.bind("socket")
        finally:
            os.chdir(here)
    return [*sorted(folder.iterdir()), Path("/dev/null"), Path("/dev/zero"), folder / "file" / "x"]
