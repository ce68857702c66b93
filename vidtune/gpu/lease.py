"""A GPU lease: jobs of one user on one machine share its GPUs out among themselves.

Snakemake counts GPUs but hands none out: without a lease every local job sits on GPU 0. Each GPU
has a slot file. A job locks one with flock and sees that GPU alone; the kernel frees the slot when
the last process that holds the lock is gone, however it went. Three kinds:

- alone (the default): one job on the GPU. Training at full size, which needs its memory.
- shared: beside other shared ones, on the GPU that has the fewest. Small jobs.
- alone, with `busy`: timing. The GPU is also free of what takes no leases; see `Busy`.

Imports next to nothing: most jobs start where there is no GPU, and then this is all they pay for.
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
from typing import NamedTuple, NoReturn

from vidtune.gpu.devices import Device, visible

FOLDER = "VIDTUNE_GPU_SLOTS"  # environment: where the slot files are
HELD = "VIDTUNE_GPU_LEASE"  # environment: set for whatever runs under a lease
TICKS = (0.1, 0.5)  # s between two looks at the slots, first and longest
SAYS = (0.3, 60.0)  # s until a job says that it waits, then between two lines

Busy = Callable[[str], str | None]
"""From a GPU's UUID to what keeps it busy beside our leases, in a few words; None: it is idle.

Asked while the slot is held alone, so that whatever runs on the GPU then is not ours.
"""


class Lease(NamedTuple):
    device: str  # UUID (without NVML, as the outer CUDA_VISIBLE_DEVICES had it)
    token: str  # what CUDA_VISIBLE_DEVICES is set to
    shared: bool
    busy: str | None  # what kept the GPU busy when it was taken, where that was not refused
    locks: tuple[int, ...]  # open file descriptors


def _bad(message: str) -> ValueError:
    from vidtune.spec import UserError  # ten times dearer than all of this module

    return UserError(message)


def _folder() -> Path:
    """Of this user alone: a name under /tmp can be taken by another."""
    named = os.environ.get(FOLDER)
    path = Path(named or Path(tempfile.gettempdir(), f"vidtune-gpus-{os.getuid()}"))
    try:
        path.mkdir(mode=0o700, parents=bool(named), exist_ok=True)
        found = path.lstat()
    except OSError as e:
        raise _bad(f"{path}: {e.strerror}; set {FOLDER} to a folder of your own") from None
    if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
        raise _bad(f"{path}: not a folder of this user; remove it, or set {FOLDER} to another")
    return path


def _lock(path: Path, how: int) -> int | None:
    """An open descriptor that holds the lock, or None where another does. Never waits."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)


class _Slots:
    """The slot files of the GPUs at hand. They are never removed: a lock is on a file, not a name."""

    def __init__(self, devices: tuple[Device, ...], busy: Busy | None, refuse: bool) -> None:
        self.folder = _folder()
        self.devices = devices
        self.busy = busy
        self.refuse = refuse
        self.why: dict[str, str] = {}  # device -> what keeps it busy, as last seen

    def path(self, name: str, end: str = "lock") -> Path:
        return self.folder / f"{name.replace('/', '_')}.{end}"

    def queue(self) -> int | None:
        """The head of the line: without one, shared jobs would pass an exclusive one for ever."""
        names = ",".join(sorted(d.uuid for d in self.devices))
        return _lock(self.path(hashlib.sha256(names.encode()).hexdigest()[:16]), fcntl.LOCK_EX)

    def alone(self) -> Lease | None:
        """An idle free GPU; a free one that is not idle only where that is not refused."""
        self.why.clear()
        for device in self.devices:
            if (fd := _lock(self.path(device.uuid), fcntl.LOCK_EX)) is None:
                continue
            reason = self.busy(device.uuid) if self.busy else None
            if reason is None:
                return Lease(device.uuid, device.token, False, None, (fd,))
            _close(fd)
            self.why[device.uuid] = reason
        for device in () if self.refuse else self.devices:
            if (
                device.uuid in self.why
                and (fd := _lock(self.path(device.uuid), fcntl.LOCK_EX)) is not None
            ):
                return Lease(device.uuid, device.token, False, self.why[device.uuid], (fd,))
        return None

    def shared(self) -> Lease | None:
        """A seat on the GPU with the fewest taken: the lowest number that is free anywhere."""
        held = {d: _lock(self.path(d.uuid), fcntl.LOCK_SH) for d in self.devices}
        held = {d: fd for d, fd in held.items() if fd is not None}
        for seat in count() if held else ():
            for device, fd in held.items():
                taken = _lock(self.path(device.uuid, f"seat{seat}"), fcntl.LOCK_EX)
                if taken is not None:
                    _close(*(other for d, other in held.items() if d != device))
                    return Lease(device.uuid, device.token, True, None, (fd, taken))
        return None

    def wait(self, shared: bool, timeout: float | None) -> Lease:
        """Raises UserError where no GPU came free within `timeout` seconds."""
        began, say, tick = time.monotonic(), SAYS[0], TICKS[0]
        head = None
        try:
            while True:
                head = self.queue() if head is None else head
                if head is not None and (got := self.shared() if shared else self.alone()):
                    return got
                waited = time.monotonic() - began
                if timeout is not None and waited >= timeout:
                    raise _bad(f"no GPU came free in {timeout:g} s: {self.state()}")
                if waited >= say:
                    say = waited + SAYS[1]
                    print(f"vidtune: waiting for a GPU, {waited:.0f} s: {self.state()}",
                          file=sys.stderr, flush=True)  # fmt: skip
                time.sleep(tick if timeout is None else min(tick, max(timeout - waited, 0.01)))
                tick = min(2 * tick, TICKS[1])
        finally:
            if head is not None:
                os.close(head)

    def state(self) -> str:
        return "; ".join(f"{d.uuid} {self.why.get(d.uuid, 'leased')}" for d in self.devices)


def take(
    *,
    shared: bool = False,
    busy: Busy | None = None,
    refuse: bool = True,
    timeout: float | None = None,
) -> Lease | None:
    """Wait for a GPU; None where there is none, or where an outer lease holds one for us.

    With `busy`, a GPU that it calls busy is refused, or, not `refuse`, taken when no free GPU is
    idle and named so in the lease.
    """
    outer = os.environ.get(HELD)
    if outer == "shared" and not shared:
        raise _bad("this runs under a shared lease, and needs a GPU alone; start it outside")
    if outer or not (devices := visible()):
        return None
    return _Slots(devices, busy, refuse).wait(shared, timeout)


def environment(lease: Lease) -> dict[str, str]:
    """What a job under the lease must see."""
    return {"CUDA_VISIBLE_DEVICES": lease.token, HELD: "shared" if lease.shared else "alone"}


@contextmanager
def lease(
    *,
    shared: bool = False,
    busy: Busy | None = None,
    refuse: bool = True,
    timeout: float | None = None,
) -> Iterator[Lease | None]:
    """`take`, for this process and its children until the block ends. Before CUDA starts only."""
    got = take(shared=shared, busy=busy, refuse=refuse, timeout=timeout)
    if got is None:
        yield None
        return
    torch = sys.modules.get("torch")
    before = {key: os.environ.get(key) for key in environment(got)}
    try:
        if torch is not None and torch.cuda.is_initialized():
            raise RuntimeError("CUDA has started: it no longer reads CUDA_VISIBLE_DEVICES")
        os.environ.update(environment(got))
        yield got
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value
        _close(*got.locks)


def become(command: list[str], lease: Lease | None) -> NoReturn:
    """Become the command, with the lease: its exit status, signals and output are its own.

    The descriptors go along, so that the slot is held for as long as the command, or a child of its
    that keeps them, lives. Raises UserError where it cannot be started.
    """
    for fd in lease.locks if lease else ():
        os.set_inheritable(fd, True)
    sys.stderr.flush()
    try:
        os.execvpe(command[0], command, os.environ | (environment(lease) if lease else {}))
    except OSError as e:
        raise _bad(f"{command[0]}: {e.strerror}; expected a command to run") from None
