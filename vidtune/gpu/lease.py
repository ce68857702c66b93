"""A GPU lease: the jobs of one user on one machine share its GPUs out among themselves.

Snakemake counts GPUs but hands none out: without a lease every local job sits on GPU 0. Each GPU
has a slot file. A job locks one with flock and sees that GPU alone; the kernel frees the slot when
the last process that holds the lock has ended, in whatever way. Three kinds:

- alone (the default): one job on the GPU. Training at full size, which needs its memory.
- shared: beside other shared jobs, on the GPU that has the fewest. Small jobs.
- alone, with `busy`: timing. No process without a lease may use the GPU either; see `Busy`.

The locks are bare flock because they are also taken shared and must outlive `exec`, which the
package filelock cannot do. Little is imported: most jobs start on a machine without a GPU, and this
module is all that they pay for.
"""

import fcntl
import hashlib
import os
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from vidtune.gpu.devices import Device, visible

FOLDER = "VIDTUNE_GPU_SLOTS"  # environment: the folder of the slot files
HELD = "VIDTUNE_GPU_LEASE"  # environment: set for whatever runs under a lease
CORES = "VIDTUNE_CORES"  # environment: the cores of a job, as large a share as it has of the GPUs
TICKS = (0.1, 0.5)  # s between two looks at the slots, first and longest
MESSAGES = (0.3, 60.0)  # s until a job prints that it waits, then between two lines

Busy = Callable[[str], str | None]
"""From a GPU's UUID to what keeps it busy beside our leases, in a few words; None: it is idle.

Called while the slot is held alone, so that whatever runs on the GPU then is not ours.
"""


class Lease(NamedTuple):
    device: str  # UUIDs with commas (without NVML, as the outer CUDA_VISIBLE_DEVICES had them)
    token: str  # what CUDA_VISIBLE_DEVICES is set to
    shared: bool
    busy: str | None  # what kept the GPUs busy when they were taken, where that was not refused
    locks: tuple[int, ...]  # open file descriptors
    share: float = 1.0  # of the GPUs that could have been leased

    @property
    def environment(self) -> dict[str, str]:
        """What a job under the lease must see."""
        seen = {"CUDA_VISIBLE_DEVICES": self.token, HELD: "shared" if self.shared else "alone"}
        seen["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"  # NVML's, in which an index was read
        if self.share < 1:
            seen[CORES] = str(max(1, int(len(os.sched_getaffinity(0)) * self.share)))
        return seen

    def release(self) -> None:
        for fd in self.locks:
            os.close(fd)


def _error(message: str) -> ValueError:
    from vidtune.spec import UserError  # imported late: it costs ten times this module

    return UserError(message)


def _gpus(number: int) -> str:
    return "a GPU" if number == 1 else f"{number} GPUs"


def _folder() -> Path:
    """The folder of the slots, of this user alone: a name under /tmp can be taken by another."""
    named = os.environ.get(FOLDER)
    try:
        path = Path(named or Path(tempfile.gettempdir(), f"vidtune-gpus-{os.getuid()}"))
    except OSError as e:  # no folder is writable
        raise _error(f"TMPDIR: {e.strerror}; set it to a folder that you can write to") from None
    try:
        path.mkdir(mode=0o700, parents=bool(named), exist_ok=True)
        status = path.lstat()
    except OSError as e:
        raise _error(f"{path}: {e.strerror}; set {FOLDER} to a folder of your own") from None
    if stat.S_ISLNK(status.st_mode) or status.st_uid != os.getuid():
        raise _error(f"{path}: not a folder of this user; remove it, or set {FOLDER} to another")
    return path


class _Slots:
    """The slot files of some GPUs. They are never removed: a lock is on a file, not a name."""

    def __init__(self, devices: tuple[Device, ...], busy: Busy | None, refuse: bool) -> None:
        self.folder = _folder()
        self.devices = devices
        self.busy = busy
        self.refuse = refuse
        self.reasons: dict[str, str] = {}  # device -> what keeps it busy, as last seen

    def _lock(self, name: str, end: str = "lock", how: int = fcntl.LOCK_EX) -> int | None:
        """An open descriptor that holds the lock, or None where another process does."""
        path = self.folder / f"{name.replace('/', '_')}.{end}"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        try:
            fd = os.open(path, flags, 0o600)
            try:
                fcntl.flock(fd, how | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
        except OSError as e:
            raise _error(
                f"{path}: {e.strerror}; set {FOLDER} to a folder of your own on this machine's disk"
            ) from None
        return fd

    def _take_alone(self, number: int) -> Lease | None:
        """Take unleased idle GPUs, all of them or none; without `refuse`, busy unleased ones where there
        are too few."""
        self.reasons.clear()
        free: list[tuple[Device, int, str | None]] = []
        for device in self.devices:
            if (fd := self._lock(device.uuid)) is None:
                continue
            reason = self.busy(device.uuid) if self.busy else None
            free.append((device, fd, reason))
            if reason is not None:
                self.reasons[device.uuid] = reason
            elif sum(one[2] is None for one in free) == number:
                break
        free.sort(key=lambda one: one[2] is not None)  # idle ones first
        taken = free[:number]
        reasons = [reason for *_, reason in taken if reason]
        if len(taken) < number or (reasons and self.refuse):
            taken = []
        for _, fd, _ in free[len(taken) :]:
            os.close(fd)
        if not taken:
            return None
        devices, locks = [one[0] for one in taken], tuple(one[1] for one in taken)
        uuids, tokens = ",".join(d.uuid for d in devices), ",".join(d.token for d in devices)
        share = number / len(self.devices)
        return Lease(uuids, tokens, False, "; ".join(reasons) or None, locks, share)

    def _take_shared(self) -> Lease | None:
        """A seat on the GPU with the fewest taken: the lowest number that is free on any."""
        locks = {d: self._lock(d.uuid, how=fcntl.LOCK_SH) for d in self.devices}
        held = {d: fd for d, fd in locks.items() if fd is not None}
        for seat in count() if held else ():
            for device, fd in held.items():
                taken = self._lock(device.uuid, f"seat{seat}")
                if taken is not None:
                    for other in {*held.values()} - {fd}:
                        os.close(other)
                    return Lease(device.uuid, device.token, True, None, (fd, taken))
        return None

    def wait(self, shared: bool, number: int, timeout: float | None) -> Lease:
        """Raises UserError where too few GPUs came free within `timeout` seconds. Whoever waits for several
        holds none, and keeps the others from taking them one by one."""
        began, message_at, tick = time.monotonic(), MESSAGES[0], TICKS[0]
        names = ",".join(sorted(d.uuid for d in self.devices))
        queue = hashlib.sha256(names.encode()).hexdigest()[:16]
        queue_lock = None  # only its holder may take a GPU: shared jobs could starve a job alone
        try:
            while True:
                queue_lock = self._lock(queue) if queue_lock is None else queue_lock
                if queue_lock is not None:
                    lease = self._take_shared() if shared else self._take_alone(number)
                    if lease:
                        return lease
                waited = time.monotonic() - began
                if timeout is not None and waited >= timeout:
                    which = "no GPU" if number == 1 else f"not {number} GPUs"
                    raise _error(f"{which} came free in {timeout:g} s: {self._state()}")
                if waited >= message_at:
                    message_at = waited + MESSAGES[1]
                    text = f"vidtune: waiting for {_gpus(number)}, {waited:.0f} s: {self._state()}"
                    print(text, file=sys.stderr, flush=True)
                time.sleep(tick if timeout is None else min(tick, max(timeout - waited, 0.01)))
                tick = min(2 * tick, TICKS[1])
        finally:
            if queue_lock is not None:
                os.close(queue_lock)

    def _state(self) -> str:
        return "; ".join(f"{d.uuid} {self.reasons.get(d.uuid, 'leased')}" for d in self.devices)


def take(
    *,
    shared: bool = False,
    number: int = 1,
    busy: Busy | None = None,
    refuse: bool = True,
    timeout: float | None = None,
) -> Lease | None:
    """Wait for `number` GPUs; None where the machine has none, or where an outer lease holds them for us.
    Raises UserError where it has fewer.

    With `busy`, a GPU that it calls busy is refused, or, not `refuse`, taken when no free GPU is
    idle; the lease's `busy` then holds the reason.
    """
    if number < 1 or (timeout is not None and not 0 <= timeout < float("inf")):
        raise _error(f"--count {number}, --timeout {timeout}: expected a GPU or more, and seconds")
    if shared and number > 1:
        raise _error("a shared job has one GPU; drop --shared or --count")
    outer = os.environ.get(HELD)
    if outer == "shared" and not shared:
        raise _error("this runs under a shared lease, and needs a GPU alone; start it outside")
    if outer or not (devices := visible()):
        return None
    if len(devices) < number:
        raise _error(
            f"{_gpus(number)} are asked for, and {len(devices)} are visible; ask for fewer"
        )
    return _Slots(devices, busy, refuse).wait(shared, number, timeout)


@contextmanager
def lease(**how: Any) -> Iterator[Lease | None]:
    """`take`, for this process and its children until the block ends. Before CUDA starts only."""
    taken = take(**how)
    if taken is None:
        yield None
        return
    torch = sys.modules.get("torch")
    before = {key: os.environ.get(key) for key in taken.environment}
    try:
        if torch is not None and torch.cuda.is_initialized():
            raise RuntimeError("CUDA has started: it no longer reads CUDA_VISIBLE_DEVICES")
        os.environ.update(taken.environment)
        yield taken
    finally:
        for key, value in before.items():
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value
        taken.release()


def become(command: list[str], lease: Lease | None) -> NoReturn:
    """Become the command, with the lease: its exit status, signals and output are its own.

    The descriptors go along, so that the slot is held for as long as the command, or a child of its
    that keeps them, lives. Raises UserError where it cannot be started.
    """
    for fd in lease.locks if lease else ():
        os.set_inheritable(fd, True)
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, os.environ | (lease.environment if lease else {}))
    except OSError as e:
        raise _error(f"{command[0]}: {e.strerror}; expected a command to run") from None
