"""The processes of a training: how they start, meet and end."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers import split_steps, started
from helpers.common import REPO

from vidtune.engine.ranks import losses_explained, start
from vidtune.spec import Lost, NotMet, UserError, write_json

BATCHNORM = "side4video/b16-ssv1@0"


def test_bad_input_of_all_ranks_is_said_once(short_run, tmp_path):
    spec = tmp_path / "spec.json"
    write_json(spec, short_run(BATCHNORM, group=4))
    out = tmp_path / "x" / "model.pt"
    done = started.vidtune("train", "--spec", spec, "--out", out, "--ranks", 2, "--parts", 3)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "env", "said"),
    [
        (5000, {}, "--ranks 5000: 5000 processes of one machine; expected"),
        (2, {"RANK": "0"}, "RANK says that this process was started as one of some; leave --ranks"),
        (2, {"RANK": "0", "WORLD_SIZE": "4"}, "as one of 4; leave --ranks out under torchrun"),
    ],
)
def test_processes_that_cannot_be_meant_are_not_started(given, env, said, monkeypatch, vidtune):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(subprocess, "Popen", None)
    for verb in ("train", "evaluate"):
        code, _, err = vidtune(verb, "--spec", "x", "--out", "y", "--ranks", given)
        assert code == 2 and said in err and len(err.splitlines()) == 1


def test_without_nccl_several_gpus_are_one_line(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: False)
    with pytest.raises(UserError, match=r"has no NCCL.*take one GPU and more --parts"):
        start(torch.device("cuda"))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WORLD_SIZE", "two", "WORLD_SIZE: expected a number from 0; found 'two'"),
        ("RANK", "", "RANK: expected a number from 0; found ''"),
        ("RANK", "5", "RANK: expected less than WORLD_SIZE"),
        ("MASTER_PORT", "x", "the processes did not meet"),
    ],
)
def test_an_environment_that_no_launcher_has_made_is_one_line(name, value, said, monkeypatch):
    ours = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for key, given in {**ours, name: value}.items():
        monkeypatch.setenv(key, given)
    with pytest.raises((UserError, NotMet), match=re.escape(said)):
        start(torch.device("cpu"))


def test_ranks_that_do_not_meet_are_one_line(monkeypatch, vidtune, short_run, tmp_path):
    """Here because the port where they would is taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ours = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        for name, value in ours.items():
            monkeypatch.setenv(name, value)
        write_json(tmp_path / "spec.json", short_run(BATCHNORM))
        given = ("--spec", tmp_path / "spec.json", "--out", tmp_path / "x" / "model.pt")
        code, _, err = vidtune("train", *given)
    assert code == 76 and f"did not meet at 127.0.0.1:{port}: " in err.splitlines()[-1]
    assert not (tmp_path / "x" / "model.pt").exists()


def test_the_others_end_where_a_rank_does(short_run, tmp_path):
    """A rank that fails alone: its reason, its code, and nothing that looks finished."""
    run = short_run(BATCHNORM, steps=10_000, group=4)
    write_json(tmp_path / "spec.json", run)
    out = tmp_path / "x" / "model.pt"
    words = ["train", "--spec", tmp_path / "spec.json", "--out", out, "--ranks", "2"]
    given = [sys.executable, "-m", "vidtune", *map(str, words)]
    process = subprocess.Popen(given, cwd=REPO, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert "train:" in process.stderr.readline()  # both are at it
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[1]), 9)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "process 1 of 2: killed by signal 9" in err
    assert "another of the 2 processes has ended" in err and "Traceback" not in err
    assert not out.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="needs prctl")
def test_processes_stop_where_their_launcher_is_killed(short_run, tmp_path):
    write_json(tmp_path / "spec.json", short_run(BATCHNORM, steps=10_000, group=4))
    out, log = tmp_path / "x" / "model.pt", tmp_path / "log"
    words = ["train", "--spec", tmp_path / "spec.json", "--out", out, "--ranks", "2"]
    with log.open("wb") as file:
        given = [sys.executable, "-m", "vidtune", *map(str, words)]
        process = subprocess.Popen(given, cwd=REPO, stderr=file)
    until(lambda: "train:" in log.read_text())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert (out.parent / "resume.pt").is_file() and not out.exists()
    assert "stopped after step" in log.read_text()


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_first_rank_alone_says_when_a_snapshot_is_due(short_run, tmp_path):
    """The others write none, and would find one due for ever."""
    spec, notes = tmp_path / "spec.json", tmp_path / "notes"
    write_json(spec, short_run(BATCHNORM, steps=6, group=4))
    split_steps.in_processes("helpers.overdue", 2, spec, tmp_path / "x" / "model.pt", notes)
    assert notes.read_text() == "1\n"


@pytest.mark.parametrize(
    ("error", "raised"),
    [("[gloo/x.cc:1] Connection closed by peer [127.0.0.1]\nmore", Lost), ("a bug", RuntimeError)],
)
def test_a_rank_that_loses_the_others_says_so(error, raised, monkeypatch):
    monkeypatch.setattr("vidtune.engine.ranks.count", lambda: 2)
    says = r"the 2 processes .*: \[gloo/x.cc:1\] Connection closed by peer \[127.0.0.1\]$|^a bug$"
    with pytest.raises(raised, match=says), losses_explained("x/y@0"):
        raise RuntimeError(error)


def test_two_nodes_train_as_one_does(short_run, tmp_path):
    """Both are this machine: each starts its share of the ranks, as SLURM's variables say."""
    run = short_run(BATCHNORM, group=4)
    alone, folder = started.trained(run, tmp_path / "alone", "--ranks", 2), tmp_path / "nodes"
    write_json(folder / "spec.json", run)
    words = ["train", "--spec", folder / "spec.json", "--out", folder / "model.pt"]
    words += ["--ranks", 2, "--nodes", 2]
    known = {"SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NODELIST": "127.0.0.1,other"}
    known |= {"SLURM_JOB_ID": str(os.getpid()), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "vidtune", *map(str, words)],
            cwd=REPO,
            env=os.environ | known | {"SLURM_NODEID": str(number)},
        )
        for number in range(2)
    ]
    assert [process.wait(120) for process in processes] == [0, 0]
    assert (folder / "model.pt").read_bytes() == alone.read_bytes()
