"""Trainings and tests in processes of their own, as a user starts them."""

import os
import subprocess
import sys
from pathlib import Path

from helpers.common import REPO
from vidtune.spec import Run, write_json


def vidtune(*words: object) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    given = [sys.executable, "-m", "vidtune", *map(str, words)]
    return subprocess.run(given, cwd=REPO, env=env, capture_output=True, text=True, timeout=300)


def trained(run: Run, folder: Path, *options: object) -> Path:
    write_json(folder / "spec.json", run)
    done = vidtune("train", "--spec", folder / "spec.json", "--out", folder / "model.pt", *options)
    assert done.returncode == 0, done.stderr
    return folder / "model.pt"
