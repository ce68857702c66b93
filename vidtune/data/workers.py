"""Worker processes: the memory that they share with this one, and the signals to them.

A scheduler that stops a job may send SIGTERM or SIGUSR1 to each of its processes. The one that trains then
ends after its step, and for that needs its workers: they end when it tells them to, and not before.
"""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

from vidtune.spec import UserError

SHARED_MEMORY = "/dev/shm"  # where processes hand things over

# macOS cannot say who has sent a signal: there workers end by any
STOPPING = {signal.SIGTERM, signal.SIGUSR1} if hasattr(signal, "sigwaitinfo") else set()


def free_shared_memory() -> int:
    """Bytes that are free in shared memory; 0 where none can be written. macOS does not say."""
    if sys.platform == "darwin":
        return sys.maxsize
    if not os.access(SHARED_MEMORY, os.W_OK | os.X_OK):
        return 0
    return shutil.disk_usage(SHARED_MEMORY).free


def process_pool(count: int) -> ProcessPoolExecutor:
    """Processes that are started anew. Raises `UserError` where they have nothing to share."""
    try:
        context = get_context("spawn")
        return ProcessPoolExecutor(count, mp_context=context, initializer=_end_with_parent)
    except OSError as e:
        raise UserError(
            f"{SHARED_MEMORY}: {e.strerror}; processes need a little of it: make it writable"
        ) from None


def _end_with_parent() -> None:
    """In a process of a pool: end where the parent has, which may have had no time to say so."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold signals to stop back in this thread, and for good in processes that are forked meanwhile."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def own_handler() -> Iterator[None]:
    """Keep this process's handler of SIGCHLD. Torch's raises an error at whatever the process is at when
    a worker dies; without it the loader says so where it waits for the next clips, within seconds."""
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before)


def heed_parent(_: int) -> None:
    """In a worker that was forked so: end by the parent's SIGTERM, as `multiprocessing` sends it to those
    that are left where it ends by an error."""
    if STOPPING:
        threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while signal.sigwaitinfo(STOPPING).si_pid != os.getppid():
        pass
    os._exit(0)
