"""Shared places: a writable copy of the configuration, and the command line in-process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers import costs
from helpers.common import REPO, plan_at
from helpers.served import Server, serving

from vidtune.plan import Plan
from vidtune.remote import download

os.environ.setdefault("OMP_NUM_THREADS", "1")
if not {"VIDTUNE_ON_A_GPU", "VIDTUNE_FULL_SIZE"} & set(os.environ):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""  # the same tests on every machine

NOBODY = 65534


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest file first: at the end it would leave the other workers idle."""
    items.sort(key=lambda item: item.path.name != "test_pipeline.py")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A copy of `config/` to be damaged."""
    return Path(shutil.copytree(REPO / "config", tmp_path / "config"))


@pytest.fixture
def vidtune(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a verb in this process: (exit code, stdout, stderr)."""
    from vidtune.cli import main

    def run(*args: object) -> tuple[int, str, str]:
        code = main([str(a) for a in args])
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Files served over http from this machine; nobody waits before another attempt."""
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as made:
        yield made


DROPPED = f"""
import importlib, os, sys
for name in sys.argv[1].split(","):
    importlib.import_module(name)  # the interpreter's own files may be out of reach later
from vidtune.cli import main
if os.getuid() == 0:
    os.setgid({NOBODY})
    os.setuid({NOBODY})
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def as_nobody(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a verb in a subprocess without root's privileges, which ignore file modes."""
    shut = [place for place in (REPO, *REPO.parents) if not place.stat().st_mode & 0o001]
    if os.getuid() == 0 and shut:
        pytest.skip(f"{shut[-1]} is shut to other users")

    def run(modules: str, *args: object) -> subprocess.CompletedProcess[str]:
        for place in (tmp_path, *tmp_path.parents):
            if place != Path("/") and place.stat().st_uid == os.getuid():
                place.chmod(place.stat().st_mode | 0o055)
        return subprocess.run(
            [sys.executable, "-c", DROPPED, modules, *map(str, args)],
            capture_output=True,
            text=True,
            cwd=REPO,
            timeout=120,
        )

    return run


@pytest.fixture(scope="module")
def plan() -> Plan:
    return plan_at(Path("nowhere"))


@pytest.fixture(scope="session")
def counted_costs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Counted costs of every declared variant, and the folder that keeps them by paper."""
    return costs.counted(tmp_path_factory)
