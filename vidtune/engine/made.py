"""Whether a run's files are made, and by whom they are being made.

Nothing here relies on two machines' clocks, which may differ by minutes: what a file is made of is told by
content, and that another machine is at work by a mark that changes while it is watched.
"""

import hashlib
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
from vidtune.spec import Run, Stopped, UserError, load_json, parse, write_json
from vidtune.spec.regular_files import opened
from vidtune.spec.results import Result, Written

MARK = "training.json"  # names who trains, in the folder of a run
BEAT = 15.0  # seconds between signs of life of a process that trains
SILENT = 120.0  # seconds without one after which a process is taken for dead
LONG = 3600.0  # seconds by which the clocks of two machines differ at most
LATE = 60.0  # seconds at most until a machine sees a file that another one has written
POLL = 5.0  # seconds between looks at a process, or for a file, that is waited for
JOBS = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "SGE_TASK_ID")  # set in a scheduler's jobs

_held: set[Path] = set()  # marks of this process
_silent: set[tuple[Path, float]] = set()  # marks that it has watched in vain, with their times


class Holder(Written):
    """Who holds a folder, as its `MARK` says."""

    host: str
    pid: Annotated[int, Field(gt=0, lt=1 << 31)]


def inputs_digest(run: Run, *made: Path) -> str:
    """Hash the content of what a run's results are made of: the lists of its clips, its weights, and files
    `made` of these. One that is missing counts as empty. Raises `UserError` where one cannot be read."""
    data = Path(run.data)
    lists = (data / f"{split}.jsonl" for split in dict.fromkeys(("train", run.dataset.evaluate_on)))
    weights = [Path(run.weights)] if run.weights else []
    found = hashlib.sha256()
    for path in (data / "manifest.json", *lists, *weights, *made):
        if path.exists():
            with opened(path) as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
        else:
            found.update(bytes(32))
    return found.hexdigest()[:16]


def is_current(run: Run, result: Path, *made: Path) -> bool:
    """Whether a file of results is of this very run and code, and of its inputs as they are."""
    try:
        stamp = parse(Result, load_json(result), result).provenance
    except UserError:
        return False
    wanted = provenance.run_digest(run), provenance.spec_digest(run), inputs_digest(run, *made)
    return (stamp.digest, stamp.spec, stamp.inputs) == wanted


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
    if _in_job():
        _wait_for(run, folder / MARK, patient=True)


def wait_until_seen(path: Path) -> None:
    """In a scheduler's job, wait for a file that a job on another machine may just have written."""
    deadline = time.monotonic() + LATE
    while _in_job() and not path.exists() and time.monotonic() < deadline:
        time.sleep(1)


def _in_job() -> bool:
    return any(name in os.environ for name in JOBS)


def _wait_for(run: Run, mark: Path, patient: bool) -> None:
    """Return when nobody holds the folder. One on another machine may have died without a word: then its
    mark does not change while it is watched."""
    seen, since, said = None, time.monotonic(), False
    while True:
        try:
            holder = parse(Holder, load_json(mark), mark)
            touched = mark.stat().st_mtime
        except (OSError, UserError):
            return
        host, pid = holder.host, holder.pid
        quiet, here = time.time() - touched, host == socket.gethostname()
        if quiet > LONG or (mark, touched) in _silent or (here and not _alive(pid, mark)):
            return
        lives = here and quiet < SILENT
        if touched != seen:
            lives |= seen is not None
            seen, since = touched, time.monotonic()
        elif time.monotonic() - since > SILENT:
            _silent.add((mark, touched))
            return
        if lives and not patient:
            raise UserError(
                f"{run.name}: process {pid} on {host} is training it; wait for it, or end it (it leaves a "
                "snapshot) and start again"
            )
        if not said:
            said = True
            what = (
                "trains it; waiting for it" if patient else "may be training it; watching its mark"
            )
            print(f"{run.name}: process {pid} on {host} {what}", file=sys.stderr, flush=True)
        time.sleep(POLL)


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


class Told:
    """Whether a process was told to stop. Unlike `threading.Event` it has no lock, for which the handler of
    a second signal would wait for ever where it interrupts that of a first."""

    def __init__(self) -> None:
        self._told = False
        self._nothing_done: str | None = None

    def set(self) -> None:
        self._told = True
        self._end_at_once()

    @contextmanager
    def at_once(self, what: str) -> Iterator[None]:
        """Before there is anything to keep: whoever is told meanwhile ends where it is, by `Stopped`."""
        self._nothing_done = f"{what}: stopped as it was starting"
        try:
            self._end_at_once()
            yield
        finally:
            self._nothing_done = None

    def _end_at_once(self) -> None:
        if self._told and self._nothing_done:
            raise Stopped(self._nothing_done)

    def is_set(self) -> bool:
        return self._told


@contextmanager
def told_to_stop() -> Iterator[Told]:
    """What SIGTERM and SIGUSR1 set, as a scheduler sends them before it ends a job. A process that was told
    heeds no second one, which would kill it as it ends."""
    told = Told()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {s: signal.signal(s, lambda *_: told.set()) for s in (signal.SIGTERM, signal.SIGUSR1)}
    try:
        yield told
    finally:
        for which, handler in before.items() if not told.is_set() else ():
            signal.signal(which, handler)
