"""The project's documents: their blocks of code, the commands in these, their links."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

from helpers.common import REPO

DOCUMENTS = (
    *sorted(REPO.glob("*.md")),
    *sorted((REPO / "docs").glob("*.md")),
    REPO / "config/README.md",
    *sorted((REPO / "results").rglob("README.md")),
    *sorted((REPO / "benchmarks").glob("*.md")),
)
TOOLS = ("vidtune", "snakemake", "make")


def blocks(path: Path, language: str = "") -> list[str]:
    """The fenced blocks of a language, without the indent that a list gives them."""
    found = re.findall(rf"^ *```{language}\n(.*?)^ *```$", path.read_text(), flags=re.S | re.M)
    return [textwrap.dedent(block) for block in found]


def commands(path: Path) -> Iterator[str]:
    """The lines of its blocks that call one of the project's tools, without comments and folders."""
    for block in blocks(path):
        for line in block.splitlines():
            line = re.sub(r"\s+#.*", "", line.strip()).removeprefix(".venv/bin/")
            if line.partition(" ")[0] in TOOLS:
                yield line


def links(path: Path) -> Iterator[tuple[Path, str]]:
    """(file, heading or "") of every relative link."""
    text = re.sub(r"^ *```.*?^ *```$", "", path.read_text(), flags=re.S | re.M)
    for target in re.findall(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)", text):
        if not re.match(r"[a-z]+:", target):
            name, _, heading = target.partition("#")
            yield ((path.parent / name).resolve() if name else path), heading


def headings(path: Path) -> set[str]:
    """The anchors that a document's headings give, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", path.read_text(), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}
