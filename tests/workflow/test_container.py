"""The image: what its recipe copies and pins; and that jobs use the software that Snakemake deploys.

Neither Docker nor Apptainer nor conda runs here: commands stand in for the two that Snakemake calls.
"""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from helpers.common import REPO
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from vidtune.spec import UserError
from vidtune.workflow import _check_image

TARGET = "data/motion-smoke/manifest.json"
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())["project"]


def instructions() -> list[tuple[str, str]]:
    """(name, rest) of each instruction of the Dockerfile, without comments and line breaks."""
    text = "\n".join(
        line for line in (REPO / "Dockerfile").read_text().splitlines() if line[:1] != "#"
    )
    lines = [line.split(maxsplit=1) for line in text.replace("\\\n", " ").splitlines() if line]
    return [(name, rest) for name, rest in lines]


def named(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def copied() -> list[str]:
    """What is copied from the repository."""
    words = [[w for w in rest.split() if not w.startswith("--")] for rest in named("COPY")]
    return [source for *sources, _ in words for source in sources]


def test_what_is_copied_exists_and_reaches_docker():
    ignored = (REPO / ".dockerignore").read_text().splitlines()
    sent = [line[1:] for line in ignored if line.startswith("!")]
    assert "*" in ignored and all((REPO / path).exists() for path in sent)
    for path in copied():
        assert (REPO / path).exists(), path
        assert any(path == one or path.startswith(f"{one}/") for one in sent), path
    needed = {"Snakefile", "config", "environment.yml", "profiles", "vidtune", "workflow"}
    assert needed | {"pyproject.toml", "constraints.txt", "results/reference"} <= set(copied())
    tracked = subprocess.run(["git", "ls-files"], cwd=REPO, capture_output=True, text=True).stdout
    assert not tracked or set(copied()) <= {
        "/".join(line.split("/")[:n]) for line in tracked.splitlines() for n in (1, 2)
    }


def test_the_image_has_the_versions_that_the_project_pins():
    (base,) = named("FROM")
    python = re.fullmatch(r"python:(\d+\.\d+)-\S+", base)[1]
    assert f"{python}.0" in SpecifierSet(PROJECT["requires-python"])
    installs = [part for run in named("RUN") for part in run.split("&&") if "pip install" in part]
    assert len(installs) == 2 and all("-c constraints.txt" in part for part in installs)
    assert "$TORCH_INDEX" in installs[0] and installs[0].split()[-1] == "torch"
    (extra,) = re.findall(r"\.\[(\w+)\]", installs[1])
    lines = (REPO / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().split("==") for line in lines if line and line[0] != "#")
    for text in (*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]):
        wanted = Requirement(text)
        assert pins[wanted.name.lower()] in wanted.specifier, text


def test_the_image_runs_as_no_root_and_with_snakemake():
    *_, user = named("USER")
    made = [shlex.split(run) for run in named("RUN") if "useradd" in run]
    assert int(user) > 0 and any(words[words.index("--uid") + 1] == user for words in made)
    assert instructions()[-2] == ("USER", user)  # nothing is copied or installed as root after it
    assert named("CMD")[0].startswith('["snakemake", ')


APPTAINER = """#!/usr/bin/env bash
if [ "$1" = --version ]; then echo "apptainer version 1.3.4"; exit; fi
printf '%s\\n' "$@" >> "$NOTES/called"
while [ "$1" != -c ]; do shift; done
PATH="$DEPLOYED:/usr/bin:/bin" exec bash -c "$2"
"""
CONDA = """#!/usr/bin/env bash
echo "$@" >> "$NOTES/called"
case "$*" in
  "info --json") echo "{\\"conda_prefix\\": \\"$NOTES\\", \\"platform\\": \\"linux-64\\"}" ;;
  --version) echo "conda 24.9.2" ;;
  config*) echo '{"get": {"channel_priority": "strict"}}' ;;
  "env create"*) for prefix; do :; done; mkdir -p "$prefix"; cp -r "$DEPLOYED" "$prefix/bin" ;;
esac
"""


def deploy(place: Path, method: str, command: str) -> subprocess.CompletedProcess[str]:
    """Run a job under a deployment method whose environment has a `python` that notes its use."""
    deployed, commands, notes = (place.parent / n for n in ("deployed", "commands", "notes"))
    scripts = {
        deployed
        / "python": f'#!/bin/sh\necho "$@" >> {notes}/python\nexec {sys.executable} "$@"\n',
        commands / method: command,
        notes / "bin/activate": 'export PATH="$1/bin:$PATH"\n',
    }
    for path, text in scripts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
    known = {"NOTES": str(notes), "DEPLOYED": str(deployed), "PYTHONPATH": str(REPO)}
    words = ["--cores", "1", "--software-deployment-method", method, "--config", "scale=smoke"]
    return subprocess.run(
        [sys.executable, "-m", "snakemake", *words, "--", TARGET],
        cwd=place,
        env=os.environ | known | {"PATH": f"{commands}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("method, command", [("apptainer", APPTAINER), ("conda", CONDA)])
def test_jobs_use_the_interpreter_of_what_is_deployed(place, method, command):
    (place / "vidtune.sif").touch()
    done = deploy(place, method, command)
    assert done.returncode == 0, done.stderr[-6000:]
    assert (place / TARGET).is_file()
    notes = place.parent / "notes"
    assert "-m vidtune generate" in (notes / "python").read_text()
    told = (notes / "called").read_text()
    assert ("vidtune.sif" if method == "apptainer" else "env create") in told


def test_an_image_that_is_absent_is_one_line(place):
    done = deploy(place, "apptainer", APPTAINER)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert last.startswith("vidtune: container: vidtune.sif: no such image; build it")
    _check_image("docker://registry.example/vidtune:latest")
    with pytest.raises(UserError, match="no such image"):
        _check_image("elsewhere.sif")
