"""Where the checkout is, its plan, and what every error message must look like."""

from pathlib import Path

from vidtune.plan import Plan, load

REPO = Path(__file__).parents[2]


def plan_at(results: Path, scale: str = "mini") -> Plan:
    """The real configuration, with its results elsewhere."""
    return load(REPO / "config", {"results": str(results), "scale": scale})


def one_line(text: str) -> str:
    """The message, which must be a single line without a traceback."""
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 1, text
    return lines[0]
