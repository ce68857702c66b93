"""Whether a run's files are made, and by whom they are being made.

Nothing here relies on two machines' clocks, which may differ by minutes: what a file is made of is told by
content, and that another machine is at work by a mark that changes while it is watched.
"""

import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field

from vidtune import provenance
from vidtune.progress import say
from vidtune.spec import Run, Stopped, UserError, load_json, parse, write_json
from vidtune.spec.regular_files import opened
from vidtune.spec.results import Result, Written

MARK = "training.json"  # names who trains, in the folder of a run
BEAT = 15.0  # seconds between signs of life of a process that trains
SILENT = 120.0  # seconds without one after which a process is taken for dead
LONG = 3600.0  # seconds by which the clocks of two machines differ at most
LATE = 60.0  # seconds at most until a machine sees a file that another one has written
TRIES = 10  # at a mark, which others that start at the same moment may take
POLL = 5.0  # seconds between looks at a process, or for a file, that is waited for
REQUEUE = "VIDTUNE_REQUEUE"  # environment: set in SLURM's jobs of a workflow
JOBS = ("SLURM_JOB_ID", "LSB_JOBID", "PBS_JOBID", "SGE_TASK_ID")  # set in a scheduler's jobs

State = tuple[int, bytes]  # time and content of a mark

_told: list["Told"] = []  # of the block that this process is in
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
    for _ in range(TRIES):
        if _claim(mark, _wait_for(run, mark, patient=False)):
            break  # else another one was faster: it holds the folder now
    else:
        raise UserError(f"{mark}: cannot be replaced, although nobody trains here; delete it")
    _held.add(mark)
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            with suppress(OSError, UserError):
                if _holder(mark) == _me():  # not where this process was taken for dead
                    os.utime(mark)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        _held.discard(mark)
        with suppress(OSError, UserError):
            if _holder(mark) == _me():
                mark.unlink()
        with suppress(OSError):
            folder.rmdir()  # where nothing was made


def _me() -> Holder:
    return Holder(host=socket.gethostname(), pid=os.getpid())


def _holder(mark: Path) -> Holder:
    return parse(Holder, load_json(mark), mark)


def _state(path: Path) -> State | None:
    """By which a file is known from one that was put in its place, or touched; None: there is none."""
    with suppress(OSError):
        return path.stat().st_mtime_ns, path.read_bytes()
    return None


def _claim(mark: Path, dead: State | None) -> bool:
    """Take a folder that nobody holds, and say whether this process has; of several one has. `dead` is the
    state of a mark whose process is gone."""
    piece = mark.with_name(f".{mark.name}.{socket.gethostname()}-{os.getpid()}")  # see `unfinished`
    if dead:
        with suppress(OSError):
            mark.rename(piece)
        if (found := _state(piece)) and found != dead:  # a new one, of a process that was faster
            with suppress(OSError):
                os.link(piece, mark)
        piece.unlink(missing_ok=True)
    write_json(piece, _me())
    try:
        os.link(piece, mark)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        write_json(mark, _me())
    finally:
        piece.unlink(missing_ok=True)
    return True


def wait_in_job(run: Run, folder: Path) -> None:
    """In a scheduler's job, wait for another process that trains the run: one that an earlier Snakemake
    has submitted, or one on a node that has failed a moment ago. Nobody is there to start it again."""
    if _in_job():
        _wait_for(run, folder / MARK, patient=True)


def wait_until_seen(path: Path) -> None:
    """In a scheduler's job, wait for a file that a job on another machine may just have written."""
    deadline = time.monotonic() + LATE
    while _in_job() and not path.exists() and time.monotonic() < deadline:
        _heed(f"{path}: waited for")
        time.sleep(1)


def _in_job() -> bool:
    return any(name in os.environ for name in JOBS)


def _wait_for(run: Run, mark: Path, patient: bool) -> State | None:
    """Return when nobody holds the folder, with the state of the mark that a dead one has left. One on
    another machine may have died without a word: then its mark does not change while it is watched."""
    seen, since, said = None, time.monotonic(), False
    while True:
        state = _state(mark)
        try:
            holder = _holder(mark)
            touched = mark.stat().st_mtime
        except (OSError, UserError):
            return state
        host, pid = holder.host, holder.pid
        quiet, here = time.time() - touched, host == socket.gethostname()
        if quiet > LONG or (mark, touched) in _silent or (here and not _alive(pid, mark)):
            return state
        lives = here and quiet < SILENT
        if touched != seen:
            lives |= seen is not None
            seen, since = touched, time.monotonic()
        elif time.monotonic() - since > SILENT:
            _silent.add((mark, touched))
            return state
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
        _heed(run.name)
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
        self.warned = False  # by SIGUSR1, which a scheduler sends ahead of a time limit

    def set(self, number: int) -> None:
        self._told = True
        self.warned |= number == signal.SIGUSR1
        self._end_at_once()

    @contextmanager
    def at_once(self, what: str) -> Iterator[None]:
        """Before there is anything to keep: whoever is told meanwhile ends where it is, by `Stopped`."""
        self._nothing_done = f"{what}: stopped as it was starting"
        try:
            self._end_at_once()
            yield
            self._end_at_once()
        finally:
            self._nothing_done = None

    def _end_at_once(self) -> None:
        if self._told and self._nothing_done:
            raise Stopped(self._nothing_done)

    def is_set(self) -> bool:
        return self._told


def _heed(what: str) -> None:
    """End a wait where this process was told to stop."""
    if _told and _told[-1].is_set():
        raise Stopped(f"{what}: stopped as it was waiting")


@contextmanager
def told_to_stop() -> Iterator[Told]:
    """What SIGTERM and SIGUSR1 set, as a scheduler sends them before it ends a job. A process that was told
    heeds no second one, which would kill it as it ends. Within another such block it is that one's."""
    if _told:
        yield _told[-1]
        return
    told = Told()
    if threading.current_thread() is not threading.main_thread():
        yield told
        return
    before = {
        s: signal.signal(s, lambda number, _: told.set(number))
        for s in (signal.SIGTERM, signal.SIGUSR1)
    }
    _told.append(told)
    try:
        yield told
    finally:
        _told.remove(told)
        for which, handler in before.items() if not told.is_set() else ():
            signal.signal(which, handler)


def queue_again(told: Told, label: str) -> None:
    """Have SLURM queue a workflow's job again under its id, where it has warned of the time limit.

    The job then goes on from what is kept, as after a preemption: Snakemake does not notice, spends no
    retry, and asks for no more memory. To be called when something new is kept; else it might go on so for
    ever. Where SLURM refuses, the job fails and is tried again.
    """
    if not (told.warned and os.environ.get(REQUEUE)):
        return
    command = ["scontrol", "requeue", os.environ.get("SLURM_JOB_ID", "")]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as e:
        why = (getattr(e, "stderr", None) or str(e)).strip().splitlines()[-1:]
        say(f"{label}: {' '.join(command)}: {' '.join(why)}; it is left to Snakemake to try again")
    else:
        say(f"{label}: queued again, as the time ends")
