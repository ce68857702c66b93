"""Machines whose clocks differ: nothing is told by the time of a file that another machine wrote."""

import os
import socket
import threading
import time
from pathlib import Path

import pytest
from helpers.common import one_line

from vidtune.engine import made
from vidtune.engine.made import MARK, alone, is_current
from vidtune.engine.train import train
from vidtune.spec import UserError, load_json, write_json

NAME = "tempme/lora-b32@0"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made, "SILENT", 0.5)
    monkeypatch.setattr(made, "POLL", 0.05)


@pytest.mark.parametrize("off", [-90.0, 0.0, 90.0])
def test_a_process_on_another_machine_lives_while_its_mark_changes(off, short_run, tmp_path):
    """`off`: by how much its clock is ahead of ours."""
    run, mark, end = short_run(NAME), tmp_path / MARK, threading.Event()
    write_json(mark, {"host": "another", "pid": 1})

    def beat() -> None:
        while not end.wait(0.1):
            os.utime(mark, (time.time() + off, time.time() + off))

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(UserError, match="process 1 on another is training it") as e:
            train(run, tmp_path / "model.pt")
        assert one_line(str(e.value)) and not (tmp_path / "model.pt").exists()
    finally:
        end.set()
        thread.join()
    os.utime(mark, (time.time() + off, time.time() + off))  # and then it has died
    train(run, tmp_path / "model.pt")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.pt", "train.json"]


def test_a_job_waits_for_a_training_elsewhere(short_run, tmp_path, monkeypatch, capsys):
    run, mark = short_run(NAME), tmp_path / MARK
    write_json(mark, {"host": "another", "pid": 1})
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    timer = threading.Timer(0.2, mark.unlink)
    timer.start()
    train(run, tmp_path / "model.pt")
    timer.join()
    assert "process 1 on another trains it; waiting for it" in capsys.readouterr().err


def test_a_result_is_current_by_content(short_run, tmp_path):
    run, result = short_run(NAME), tmp_path / "train.json"
    weights = tmp_path / "clip.pt"
    weights.write_bytes(Path(run.weights).read_bytes())
    run = run.model_copy(update={"weights": str(weights)})
    train(run, tmp_path / "model.pt")
    long_ago = (time.time() - 1000,) * 2
    os.utime(result, long_ago)  # by a machine whose clock is behind
    assert is_current(run, result)
    weights.write_bytes(weights.read_bytes() + b"0")  # later, and by the clock before
    os.utime(weights, (time.time() - 2000,) * 2)
    assert not is_current(run, result)
    assert load_json(result)["provenance"]["inputs"] != made.inputs_digest(run)


def test_what_another_machine_has_just_written_is_waited_for_in_a_job(tmp_path, monkeypatch):
    late = tmp_path / "model.pt"
    made.wait_until_seen(late)  # by hand nobody waits
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    threading.Timer(0.1, late.touch).start()
    made.wait_until_seen(late)
    assert late.exists()
    monkeypatch.setattr(made, "LATE", 0.0)
    made.wait_until_seen(tmp_path / "never")


def test_a_job_watches_a_dead_mark_once(short_run, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    write_json(tmp_path / MARK, {"host": "another", "pid": 1})
    slept: list[float] = []
    sleep = time.sleep
    monkeypatch.setattr(made.time, "sleep", lambda s: (slept.append(s), sleep(s)))
    train(short_run(NAME), tmp_path / "model.pt")
    watched = slept.count(made.POLL)
    assert 0 < watched <= made.SILENT / made.POLL + 1 and (tmp_path / "train.json").exists()


def test_of_two_that_start_at_the_same_moment_one_trains(short_run, tmp_path, monkeypatch):
    """The other one writes its mark when this one has found none: where there was none, or a dead one's."""
    run, mark, wait = short_run(NAME), tmp_path / MARK, made._wait_for
    for before in (None, {"host": socket.gethostname(), "pid": 2**22 + 1}):
        other = {"host": socket.gethostname(), "pid": os.getppid()}
        looks = []

        def late(*args, other=other, looks=looks, **how):
            found = wait(*args, **how)
            if not looks:
                write_json(mark, other)
            looks.append(found)
            return found

        mark.unlink(missing_ok=True)
        if before:
            write_json(mark, before)
        monkeypatch.setattr(made, "_wait_for", late)
        refused = pytest.raises(UserError, match=f"process {os.getppid()} on .* is training it")
        with refused, alone(run, tmp_path):
            raise AssertionError
        assert load_json(mark) == other and [p.name for p in tmp_path.iterdir()] == [MARK]


def test_a_mark_of_another_is_neither_touched_nor_removed(short_run, tmp_path):
    """Of one that took this process for dead."""
    mark, other = tmp_path / MARK, {"host": "another", "pid": 1}
    with alone(short_run(NAME), tmp_path):
        assert load_json(mark)["pid"] == os.getpid()
        write_json(mark, other)
    assert load_json(mark) == other
