"""Snakemake as its users expect it: without --cores where nothing runs, and stopped by Ctrl-C."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.common import REPO

TARGET = "data/motion-smoke/manifest.json"
ENV = os.environ | {"PYTHONPATH": str(REPO)}


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", *args]


def ask(place: Path, *args: str) -> str:
    """The stdout of Snakemake, which must succeed."""
    done = subprocess.run(
        command(*args), cwd=place, env=ENV, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout


def test_what_runs_nothing_needs_no_cores(place):
    scale = ("--config", "scale=smoke")
    graph = ask(place, "--rulegraph", *scale)
    assert graph.startswith("digraph") and all(
        f'"{r}"' in graph for r in ("learn", "report", "all")
    )
    assert "wildcards" in ask(place, "--dag", *scale) or "learned: " in ask(place, "--dag", *scale)
    table = ask(place, "--summary", *scale).splitlines()
    assert table[0].startswith("output_file") and any(
        "tables/side4video-table2.tex" in t for t in table
    )
    (place / ".snakemake/locks").mkdir(exist_ok=True)
    (place / ".snakemake/locks/0.output.lock").write_text(TARGET)
    ask(place, "--unlock", *scale)
    assert not (place / ".snakemake/locks/0.output.lock").exists()


@pytest.mark.parametrize("question", ["--rulegraph", "--summary", "--unlock"])
def test_full_scale_without_data_answers_too(question, place):
    ask(place, question, "--config", "scale=full")


def test_a_profile_beside_the_snakefile_is_read_and_ctrl_c_is_made_good(place):
    """Stopped in the middle of a job, and started again by the same command."""
    words = command("--cores", "1", "--config", "scale=smoke", "--", TARGET)
    # a shell that starts the tests in the background has SIGINT ignored, which is inherited
    job = subprocess.Popen(
        ["env", "--default-signal=INT", *words],
        cwd=place,
        env=ENV,
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not any((place / "data/motion-smoke").glob("*")):
        assert job.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(job.pid, signal.SIGINT)
    said = job.communicate(timeout=120)[1]
    assert job.returncode != 0 and "vidtune generate: interrupted" in said, said
    assert "profiles/default" in said and "Traceback" not in said
    assert not (place / TARGET).exists()
    ask(place, *words[3:])
    assert (place / TARGET).is_file()
