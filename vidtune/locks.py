"""Lock an open file against other processes: those of all machines where its file system can, else those
of this machine.

Some network file systems refuse flock (NFS without its lock service, Lustre without `-o flock`).
"""

import errno
import fcntl
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, Any

REFUSED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # what such a file system answers


@contextmanager
def locked(file: IO[Any] | FileIO, waiting: str, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock of an open, named file, alone or (LOCK_SH) with others; while another process has it,
    wait and print `waiting`.

    Where the file system refuses, a file in this machine's temporary folder is locked in its place.
    Raises `OSError`.
    """
    try:
        _lock(file, waiting, how)
    except OSError as e:
        if e.errno not in REFUSED:
            raise
    else:
        yield
        return
    with _stand_in(Path(file.name)).open("ab") as other:
        _lock(other, waiting, how)
        yield


def _lock(file: IO[Any] | FileIO, waiting: str, how: int) -> None:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        print(waiting, file=sys.stderr, flush=True)
        fcntl.flock(file, how)


def _stand_in(path: Path) -> Path:
    name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir(), f"vidtune-{os.getuid()}-{name}.lock")
