"""Locks, also where the file system of the locked file refuses them."""

import errno
import fcntl
import threading
from pathlib import Path

import pytest

from vidtune import locks
from vidtune.locks import locked


@pytest.mark.parametrize("refuses", [False, True])
def test_one_at_a_time_and_the_other_says_that_it_waits(refuses, tmp_path, monkeypatch, capsys):
    flock, node = fcntl.flock, tmp_path / "node"
    node.mkdir()
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(node))

    def shared(file, how: int) -> None:
        """As of NFS without a lock service; the node's own disk can."""
        if refuses and Path(file.name).parent != node:
            raise OSError(errno.ENOLCK, "No locks available")
        flock(file, how)

    monkeypatch.setattr(locks.fcntl, "flock", shared)
    order: list[str] = []

    def other() -> None:
        with (tmp_path / "lock").open("ab") as file, locked(file, "waiting for the first"):
            order.append("second")

    with (tmp_path / "lock").open("ab") as file, locked(file, "never"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert capsys.readouterr().err == "waiting for the first\n"
    assert len(list(node.iterdir())) == refuses


def test_another_error_is_not_hidden(tmp_path, monkeypatch):
    def broken(file, how: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(locks.fcntl, "flock", broken)
    with (
        (tmp_path / "lock").open("ab") as file,
        pytest.raises(OSError, match="Input/output"),
        locked(file, ""),
    ):
        pass
