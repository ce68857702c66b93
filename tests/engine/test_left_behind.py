"""What killed processes leave behind stops nobody and does not stay; signals that come at bad moments."""

import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.disturbed import environment, ranks_of

from vidtune.engine import train as training
from vidtune.engine.made import MARK
from vidtune.engine.step import Step
from vidtune.engine.train import train
from vidtune.spec import write_json

NAME = "tempme/lora-b32@0"
MADE = ["model.pt", "train.json"]
WAITS = """
import sys
from vidtune.cli import launch, main
launch.PROGRAM = ("-c", "import time; time.sleep(60)")
sys.exit(main(["train", "--spec", "x", "--out", "y", "--ranks", "2"]))
"""

MEETS = """
import sys
from vidtune.cli import launch, main
launch.GRACE = 1.0
once = "import os, pathlib, sys; p = pathlib.Path(sys.argv[1], os.environ['RANK']); n = len(p.read_text())"
once += " if p.exists() else 0; p.write_text('x' * (n + 1)); sys.exit(76 if n < int(sys.argv[2]) else 0)"
launch.PROGRAM = ("-c", once, *sys.argv[1:])
sys.exit(main(["train", "--spec", "x", "--out", "y", "--ranks", "2"]))
"""

FAILS = """
import sys
from vidtune.cli import main
from vidtune.engine.step import Step
def fail(step):
    raise RuntimeError("an error of ours")
Step.update = fail
sys.exit(main(sys.argv[1:]))
"""

IMPORTS = """
import sys, time
from vidtune import __main__ as module
module.main = lambda: [print("at it", flush=True), time.sleep(60)]
sys.exit(module.run())
"""

TWICE = """
import os, signal, sys
from importlib import import_module
module = import_module("vidtune.cli.main")

class Interrupted:
    def write(self, text):
        os.kill(os.getpid(), signal.SIGINT)
        return sys.__stderr__.write(text)

    def flush(self):
        sys.__stderr__.flush()

def interrupt(_):
    raise KeyboardInterrupt

module.VERBS["ls"].run, sys.stderr = interrupt, Interrupted()
sys.exit(module.main(["ls"]))
"""


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def leave(folder: Path, pid: int) -> None:
    """What a training of this machine leaves that is killed as it writes its last file."""
    write_json(folder / MARK, {"host": socket.gethostname(), "pid": pid})
    for name in ("resume.pt", "resume-1.pt", ".resume.pt.ab", ".model.pt.cd", ".train.json.ef"):
        (folder / name).write_bytes(b"half")


@pytest.mark.parametrize("whose", ["its own number", "a zombie"])
def test_a_dead_training_holds_nobody_up(whose, short_run, tmp_path):
    """A container that starts anew gives numbers anew; one without an init process keeps the dead."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    leave(tmp_path, os.getpid() if whose == "its own number" else child.pid)
    train(short_run(NAME), tmp_path / "model.pt")
    damaged = ["resume-1.pt.damaged", "resume.pt.damaged"]
    assert names(tmp_path) == sorted([*MADE, *damaged])
    child.wait()


def test_what_is_left_beside_a_whole_training_goes(short_run, tmp_path):
    run, out = short_run(NAME), tmp_path / "model.pt"
    train(run, out)
    made = out.stat().st_mtime_ns
    leave(tmp_path, os.getpid())
    train(run, out)
    assert names(tmp_path) == MADE and out.stat().st_mtime_ns == made


def test_a_training_that_is_killed_as_it_writes_is_not_made(short_run, tmp_path, monkeypatch):
    """Its weights may be there, but not the file that said so of a training before."""
    first, second = short_run(NAME), short_run(NAME, lr=0.5)
    train(first, tmp_path / "model.pt")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        train(second, tmp_path / "model.pt")
    monkeypatch.undo()
    assert not (tmp_path / "train.json").exists()
    made = (tmp_path / "model.pt").stat().st_mtime_ns
    train(first, tmp_path / "model.pt")
    assert (tmp_path / "model.pt").stat().st_mtime_ns != made and names(tmp_path) == MADE


def test_a_signal_to_all_processes_of_a_training(short_run, tmp_path, monkeypatch, vidtune):
    """Workers leave it to the one that trains, which writes its snapshot."""
    run = short_run("side4video/b16-ssv1@0", steps=6, random_train_frames=True)
    write_json(tmp_path / "spec.json", run)
    update, told = Step.update, []

    def tell(step: Step) -> None:
        update(step)
        told.extend(str(w.pid) for w in multiprocessing.active_children())
        subprocess.run(["kill", *told, str(os.getpid())], check=True)  # not from their parent
        time.sleep(0.2)

    monkeypatch.setattr(Step, "update", tell)
    given = ("train", "--spec", tmp_path / "spec.json", "--out", tmp_path / "x" / "model.pt")
    code, _, err = vidtune(*given)
    assert (code, bool(told)) == (75, True) and "stopped after step 1 of 6" in err
    assert names(tmp_path / "x") == ["resume.pt"]
    assert not multiprocessing.active_children()


def test_an_error_leaves_no_worker(short_run, tmp_path):
    """Although workers heed no signal but their parent's."""
    run = short_run("side4video/b16-ssv1@0", random_train_frames=True)
    write_json(tmp_path / "spec.json", run)
    given = ["train", "--spec", tmp_path / "spec.json", "--out", tmp_path / "x" / "model.pt"]
    command = [sys.executable, "-c", FAILS, *map(str, given)]
    done = subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1 and "an error of ours" in done.stderr


def test_a_signal_before_the_ranks_have_begun():
    """They die of it; the launcher says that they may be started again."""
    process = subprocess.Popen([sys.executable, "-c", WAITS], env=environment())
    while len(ranks_of(process.pid)) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 75


@pytest.mark.parametrize(("times", "code", "starts"), [(2, 0, "xxx"), (9, 76, "xxx")])
def test_ranks_that_have_not_met_are_started_again(times, code, starts, tmp_path):
    """But not for ever."""
    given = [sys.executable, "-c", MEETS, str(tmp_path), str(times)]
    done = subprocess.run(given, env=environment(), timeout=60, check=False)
    assert done.returncode == code
    assert (tmp_path / "0").read_text() == starts


def test_a_signal_before_a_job_has_begun():
    """Or outside of one, as libraries are imported: the code of what goes on."""
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORTS],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout and process.stdout.readline() == "at it\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 75 and err == "vidtune: told to stop; start it again to go on\n"


def test_a_second_interrupt():
    """As a rank gets it from the terminal and from its launcher, while the first is told."""
    given = [sys.executable, "-c", TWICE]
    done = subprocess.run(given, env=environment(), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (130, "vidtune ls: interrupted\n")
