"""The whole pipeline at smoke scale, killed at random moments and on full disks: it ends in the results of
an undisturbed one.

VIDTUNE_PIPELINE_KILLS and VIDTUNE_FULL_DISKS say how often (default: 0; `make campaign`: 60 and 12).
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from helpers.common import REPO
from helpers.outcome import same

KILLS = int(os.environ.get("VIDTUNE_PIPELINE_KILLS", "0"))
FULL_DISKS = int(os.environ.get("VIDTUNE_FULL_DISKS", "0"))
LINKED = ("Snakefile", "config", "profiles", "vidtune", "workflow", "environment.yml")
DISK = 512 << 20  # bytes of the disk that becomes full
PATIENCE = 900.0


def workspace(place: Path) -> Path:
    """A folder in which Snakemake runs the repository's code, with results and videos of its own."""
    place.mkdir(parents=True, exist_ok=True)
    for name in LINKED:
        (place / name).symlink_to(REPO / name)
    return place


def start(place: Path, *words: str) -> subprocess.Popen[bytes]:
    """Snakemake in a session of its own, which its jobs share."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", "scale=smoke", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TMPDIR": str(place)}
    with (place.parent / "log").open("wb") as log:
        return subprocess.Popen(
            command, cwd=place, env=environment, stdout=log, stderr=log, start_new_session=True
        )


def finish(place: Path) -> float:
    """Run it to its end; the seconds that it took."""
    begin = time.monotonic()
    assert start(place).wait(PATIENCE) == 0, (place.parent / "log").read_text()[-4000:]
    return time.monotonic() - begin


def of_session(leader: int) -> list[int]:
    """The processes of a session, its leader not among them."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        if int(fields[3]) == leader and fields[0] != "Z" and int(stat.parent.name) != leader:
            found.append(int(stat.parent.name))
    return found


def gone(leader: int) -> None:
    """Wait until no process of a session is left."""
    end = time.monotonic() + PATIENCE
    while of_session(leader):
        assert time.monotonic() < end
        time.sleep(0.05)


def unlock(place: Path) -> None:
    assert start(place, "--unlock").wait(PATIENCE) == 0


def kill(rng: random.Random, process: subprocess.Popen[bytes]) -> str:
    """Kill all, Snakemake alone, or one of its jobs' processes; what was killed, "" for nothing."""
    kind, jobs = rng.choice(("all", "snakemake", "job")), of_session(process.pid)
    if process.poll() is not None or (kind == "job" and not jobs):
        return ""
    if kind == "job":
        os.kill(rng.choice(jobs), signal.SIGKILL)
    else:
        for one in (process.pid, *(jobs if kind == "all" else ())):
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
    process.wait(PATIENCE)
    gone(process.pid)  # jobs that outlive Snakemake end by themselves
    return kind


def unequal(root: Path, whole: Path) -> list[str]:
    """The files of results that differ from the undisturbed ones, but for times."""
    differ = []
    for path in (*whole.glob("tables/*"), whole / "claims.csv", whole / "contradictions.csv"):
        name = path.relative_to(whole)
        if (root / name).read_bytes() != path.read_bytes():
            differ.append(str(name))
    for path in whole.glob("costs/*.json"):
        one, other = (json.loads((r / "costs" / path.name).read_text()) for r in (root, whole))
        if {k: without(v) for k, v in one.items()} != {k: without(v) for k, v in other.items()}:
            differ.append(path.name)
    for folder in whole.glob("runs/*/*"):
        same(root / folder.relative_to(whole), folder, finished=True)
    return differ


def without(cost: dict[str, object]) -> dict[str, object]:
    return {k: v for k, v in cost.items() if k not in ("provenance", "seconds")}


def check_and_wipe(place: Path, whole: Path) -> None:
    """Compare finished results with the undisturbed ones, and begin anew."""
    assert unequal(place / "results/smoke", whole) == []
    for name in ("results", "data", ".snakemake"):
        shutil.rmtree(place / name, ignore_errors=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """The results of an undisturbed pipeline, and its seconds."""
    place = workspace(tmp_path_factory.mktemp("whole") / "place")
    return place / "results/smoke", finish(place)


def tell(counts: Counter[str], finished: int) -> None:
    told = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    print(f"\n{sum(counts.values())} ({told}); {finished} times to the end")


@pytest.mark.skipif(not KILLS, reason="VIDTUNE_PIPELINE_KILLS is not set: `make campaign` sets it")
def test_killed_at_random_moments(whole: tuple[Path, float], tmp_path: Path) -> None:
    rng, counts, finished = random.Random(0), Counter[str](), 0
    place = workspace(tmp_path / "place")
    while sum(counts.values()) < KILLS:
        process = start(place)
        try:
            process.wait(rng.uniform(0.5, 0.7 * whole[1]))
        except subprocess.TimeoutExpired:
            if killed := kill(rng, process):
                counts[killed] += 1
                unlock(place)
        if process.wait(PATIENCE) == 0:
            check_and_wipe(place, whole[0])
            finished += 1
    finish(place)
    assert unequal(place / "results/smoke", whole[0]) == []
    tell(counts, finished + 1)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(place)]
    if os.getuid() or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk that is full needs root, who may mount one")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, left: int) -> Callable[[], None]:
    """Fill a disk but for `left` bytes; return what empties it again."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as f, suppress(OSError):
        while f.write(bytes(1 << 20)):
            pass
    os.truncate(ballast, max(0, ballast.stat().st_size - left))
    return ballast.unlink


def ended(process: subprocess.Popen[bytes]) -> str:
    """How it ended on a full disk. Snakemake 9 may wait for ever once its own notes find no room: it is
    then killed, when its jobs have ended."""
    while process.poll() is None:
        gone(process.pid)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None and not of_session(process.pid):
            process.kill()
            process.wait()
            return "Snakemake hung"
    gone(process.pid)
    return "failed" if process.returncode else "got through"


@pytest.mark.skipif(not FULL_DISKS, reason="VIDTUNE_FULL_DISKS is not set: `make campaign` sets it")
def test_on_a_full_disk(whole: tuple[Path, float], disk: Path) -> None:
    """What fails says so in a line, and the same command goes on once there is room."""
    rng, counts, finished = random.Random(0), Counter[str](), 0
    place = workspace(disk / "place")
    while sum(counts.values()) < FULL_DISKS:
        process = start(place)
        try:
            process.wait(rng.uniform(3.0, 0.9 * whole[1]))
        except subprocess.TimeoutExpired:
            empty = fill(disk, rng.choice((0, 1 << 12, 1 << 16)))
            counts[ended(process)] += 1
            empty()
            said = [p for p in (place / "results").rglob("*.log") if "Traceback" in p.read_text()]
            assert not said, said[0].read_text()[-3000:]
            unlock(place)
        if process.returncode == 0:
            check_and_wipe(place, whole[0])
            finished += 1
    finish(place)
    assert unequal(place / "results/smoke", whole[0]) == []
    tell(counts, finished + 1)
