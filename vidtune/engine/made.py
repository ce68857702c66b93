"""Whether a run's files are made, and by whom they are being made."""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vidtune import provenance
from vidtune.spec import Run, UserError, load_json, parse, write_json
from vidtune.spec.results import Result, Written

MARK = "training.json"  # names who trains, in the folder of a run
BEAT = 15.0  # seconds between signs of life of a process that trains
SILENT = 120.0  # seconds without one after which a process is taken for dead
POLL = 5.0  # seconds between looks at a process that is waited for
JOBS = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "SGE_TASK_ID")  # set in a scheduler's jobs

_held: set[Path] = set()  # marks of this process


class Holder(Written):
    """Who holds a folder, as its `MARK` says."""

    host: str
    pid: Annotated[int, Field(gt=0, lt=1 << 31)]


def inputs(run: Run) -> list[Path]:
    """The files that say which clips and weights a run is made of."""
    return [Path(run.data) / "manifest.json", *([Path(run.weights)] if run.weights else [])]


def follows(made: Path, of: list[Path]) -> bool:
    """Whether a file is no older than what it is made of. Raises `OSError` where one is missing."""
    return made.stat().st_mtime >= max(path.stat().st_mtime for path in of)


def is_current(run: Run, made: Path, of: list[Path]) -> bool:
    """Whether a file of results is of this very run and code, and no older than its inputs."""
    try:
        stamp = parse(Result, load_json(made), made).provenance
        newer = follows(made, of)
    except (UserError, OSError):
        return False
    wanted = provenance.run_digest(run), provenance.spec_digest(run)
    return newer and (stamp.digest, stamp.spec) == wanted


@contextmanager
def alone(run: Run, folder: Path) -> Iterator[None]:
    """Hold a run's folder against other processes, on this machine or another.

    No file is locked, for not every network file system can: the holder touches a file that names it.
    Raises `UserError` where another one is at it.
    """
    mark = folder / MARK
    _wait_for(run, mark, patient=False)
    write_json(mark, Holder(host=socket.gethostname(), pid=os.getpid()))
    _held.add(mark)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            with suppress(OSError):
                os.utime(mark)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _held.discard(mark)
        mark.unlink(missing_ok=True)
        with suppress(OSError):
            folder.rmdir()  # where nothing was made


def wait_in_job(run: Run, folder: Path) -> None:
    """In a scheduler's job, wait for another process that trains the run: one that an earlier Snakemake
    has submitted, or one on a node that has failed a moment ago. Nobody is there to start it again."""
    if any(name in os.environ for name in JOBS):
        _wait_for(run, folder / MARK, patient=True)


def _wait_for(run: Run, mark: Path, patient: bool) -> None:
    """Return when nobody holds the folder. One on another machine may have died without a word."""
    said = False
    while True:
        try:
            holder = parse(Holder, load_json(mark), mark)
            quiet = time.time() - mark.stat().st_mtime
        except (OSError, UserError):
            return
        host, pid = holder.host, holder.pid
        here = host == socket.gethostname()
        if quiet > SILENT or (here and not _alive(pid, mark)):
            return
        if quiet > 2 * BEAT and not here:
            time.sleep(BEAT)
            continue
        if patient:
            if not said:
                said = True
                print(
                    f"{run.name}: process {pid} on {host} trains it; waiting for it",
                    file=sys.stderr,
                    flush=True,
                )
            time.sleep(POLL)
            continue
        raise UserError(
            f"{run.name}: process {pid} on {host} is training it; wait for it, or end it (it leaves a "
            "snapshot) and start again"
        )


def _alive(pid: int, mark: Path) -> bool:
    """Whether the process that wrote a mark on this machine is still there.

    A container that is started anew may give the dead one's number to this process, and one without an
    init process keeps the dead as zombies.
    """
    if pid == os.getpid():
        return mark in _held
    with suppress(OSError):
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def told_to_stop() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGUSR1 set, as a scheduler sends them before it ends a job."""
    told = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {s: signal.signal(s, lambda *_: told.set()) for s in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield told
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)
