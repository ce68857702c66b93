"""GPU leases, by real processes on fake GPUs: slots are files, NVML reads a file."""

import errno
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import fake_nvml
from helpers.common import REPO, one_line

from vidtune.gpu.lease import CORES, FOLDER, HELD, Lease, lease
from vidtune.spec import UserError

A, B = "GPU-aaaa1111", "GPU-bbbb2222"


class Job:
    """`sh -c script` under a lease; the script prints its GPU and ends with its standard input."""

    WAITS = 'echo "$CUDA_VISIBLE_DEVICES $VIDTUNE_GPU_LEASE"; read _ || true; exit 0'

    def __init__(self, *options: str, script: str = WAITS) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vidtune.gpu", *options, "--", "sh", "-c", script],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip  # whoever runs the tests in the background may have them ignore SIGINT

    def gpu(self) -> str:
        """Blocks until the job runs."""
        return self.process.stdout.readline().split()[0]

    def waits(self) -> str:
        """Blocks until the job says that it waits."""
        line = self.process.stderr.readline()
        assert line.startswith("vidtune: waiting for "), line
        return line

    def end(self, kill: int | None = None) -> int:
        if kill:
            self.process.send_signal(kill)
        self.process.stdin.close()
        return self.process.wait(60)


@pytest.fixture(autouse=True)
def before_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with a GPU another test may have started CUDA in this process."""
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: False)


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the GPUs of the machine, for this process and those it starts."""
    monkeypatch.delenv(HELD, raising=False)
    return fake_nvml.install(tmp_path, monkeypatch)


@pytest.fixture
def job(gpus: Callable[..., None]) -> Iterator[Callable[..., Job]]:
    gpus({"uuid": A}, {"uuid": B})
    started: list[Job] = []

    def start(*options: str, **more: str) -> Job:
        started.append(Job(*options, **more))
        return started[-1]

    yield start
    for one in started:
        with one.process:  # closes its pipes
            one.process.kill()


def test_two_jobs_get_two_gpus_and_a_third_waits(job):
    first, second = job(), job()
    taken = first.gpu()
    assert {taken, second.gpu()} == {A, B}
    third = job()
    assert f"{A} leased; {B} leased" in third.waits()
    assert first.end() == 0
    assert third.gpu() == taken


def test_a_killed_holder_frees_its_gpu(job):
    jobs = job(), job()
    taken = [one.gpu() for one in jobs]
    waiting = job()
    waiting.waits()
    assert jobs[1].end(signal.SIGKILL) == -signal.SIGKILL
    assert waiting.gpu() == taken[1]


def test_a_child_that_outlives_its_killed_parent_keeps_the_gpu(job, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", A)
    parent = job(script="sleep 600 > /dev/null 2>&1 & echo $CUDA_VISIBLE_DEVICES; echo $!; wait")
    assert parent.gpu() == A
    child = int(parent.gpu())
    try:
        parent.end(signal.SIGKILL)
        waiting = job()
        waiting.waits()
    finally:
        os.kill(child, signal.SIGKILL)
    assert waiting.gpu() == A


def test_shared_jobs_spread_and_an_exclusive_one_has_its_turn(job):
    shared = [job("--shared") for _ in range(4)]
    assert sorted(one.gpu() for one in shared) == [A, A, B, B]
    exclusive = job("--exclusive")
    exclusive.waits()
    late = job("--shared")
    late.waits()  # it would fit beside the others, but came later
    for one in shared:
        assert one.end() == 0
    assert exclusive.gpu() in (A, B)
    assert late.gpu() in (A, B)
    assert late.process.poll() is None
    assert exclusive.end() == 0


def test_several_gpus_at_once_or_none(job):
    """Who waits for two keeps neither, and is not overtaken by jobs that need one."""
    one = job()
    taken = one.gpu()
    two = job("--count", "2")
    two.waits()
    late = job()
    late.waits()
    assert one.end() == 0
    assert set(two.gpu().split(",")) == {A, B}
    assert late.process.poll() is None
    assert two.end() == 0
    assert late.gpu() in (A, B) and taken in (A, B)


def test_two_jobs_of_two_gpus_take_turns(job):
    jobs = job("--count", "2"), job("--count", "2")
    first = next(
        j
        for j in jobs
        if j.process.stdout in select.select([x.process.stdout for x in jobs], [], [])[0]
    )
    other = next(j for j in jobs if j is not first)
    assert set(first.gpu().split(",")) == {A, B}
    assert first.end() == 0
    assert set(other.gpu().split(",")) == {A, B}


def test_more_gpus_than_there_are(gpus, monkeypatch):
    gpus({"uuid": A}, {"uuid": B})
    with pytest.raises(UserError, match="3 GPUs are asked for, and 2 are visible; ask for fewer"):
        lease(number=3).__enter__()
    with pytest.raises(UserError, match="a shared job has one GPU"):
        lease(number=2, shared=True).__enter__()
    with lease(number=2) as got, pytest.raises(UserError, match="not 2 GPUs came free in 0 s"):
        assert set(got.environment["CUDA_VISIBLE_DEVICES"].split(",")) == {A, B}
        assert got.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"  # NVML's
        assert CORES not in got.environment  # all are its own
        del os.environ[HELD]
        os.environ["CUDA_VISIBLE_DEVICES"] = f"{A},{B}"
        lease(number=2, timeout=0).__enter__()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(13)))
    with lease(timeout=0) as again:
        assert again.device in (A, B) and again.environment[CORES] == "6"  # of two GPUs one


def test_a_busy_gpu_is_refused_to_timing_jobs_alone(job, gpus):
    gpus({"uuid": A, "processes": [{"pid": 4711}]}, {"uuid": B, "utilisation": {"gpu": 27}})
    plain = job()
    assert plain.gpu() == A
    assert plain.end() == 0
    timing = job("--exclusive")
    line = timing.waits()
    assert "4711" in line and "27 % busy" in line
    gpus({"uuid": A, "processes": [{"pid": 4711}]}, {"uuid": B})
    assert timing.gpu() == B


def test_a_busy_gpu_is_named_or_refused(gpus):
    gpus({"uuid": A}, {"uuid": B})
    with lease(busy=lambda uuid: "busy" if uuid == A else None, refuse=False) as got:
        assert (got.device, got.busy) == (B, None)  # an idle one first
    with lease(busy=lambda uuid: f"{uuid} works", refuse=False) as got:
        assert (got.device, got.busy) == (A, f"{A} works")
    with pytest.raises(UserError, match=f"no GPU came free in 0 s: {A} works; {B} works"):
        lease(busy=lambda uuid: "works", timeout=0).__enter__()


def test_one_gpu_by_two_names_is_one_slot(job, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    by_index = job()
    assert by_index.gpu() == "1"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", B)
    by_name = job()
    by_name.waits()
    by_index.end()
    assert by_name.gpu() == B


def test_without_nvml_the_outer_list_names_the_slots(gpus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    with lease() as one, lease() as same:
        assert one.token == "0" and same is None  # the outer lease holds it for us
        del os.environ[HELD]  # monkeypatch would put it back at the end
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
        with lease() as two:
            assert two.token == "3"


def test_status_and_signals_are_the_commands_own(job):
    assert job(script="exit 7").end() == 7
    trapped = job(script="trap 'exit 3' TERM; echo up; while :; do sleep 0.05; done")
    assert trapped.gpu() == "up"
    assert trapped.end(signal.SIGTERM) == 3
    plain = job()
    plain.gpu()
    assert plain.end(signal.SIGTERM) == -signal.SIGTERM


def test_a_job_that_waits_can_be_ended(job):
    holders = job(), job()
    assert all(one.gpu() for one in holders)
    waiting = job()
    waiting.waits()
    assert waiting.end(signal.SIGINT) == 130
    late = job("--timeout", "0.6")
    late.waits()
    assert late.process.wait(60) == 2
    assert "no GPU came free in 0.6 s" in late.process.stderr.read()


def test_a_lease_inside_a_lease(gpus):
    gpus({"uuid": A})
    before = dict(os.environ)
    with lease() as outer:
        assert isinstance(outer, Lease)
        assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ[HELD]) == (A, "alone")
        with lease(shared=True) as inner:
            assert inner is None
    assert dict(os.environ) == before
    with lease(shared=True), pytest.raises(UserError, match="under a shared lease"):
        lease().__enter__()
    with lease(timeout=0) as again:  # all was given back
        assert again.device == A


def test_without_a_gpu_the_command_just_runs(gpus, tmp_path, monkeypatch):
    shown = Job("--exclusive", script='echo "<$CUDA_VISIBLE_DEVICES$VIDTUNE_GPU_LEASE>"; exit 5')
    out, err = shown.process.communicate()
    assert (out, err, shown.process.returncode) == ("<>\n", "", 5)
    assert not (tmp_path / "slots").exists()
    light = (
        "import sys, vidtune.gpu.__main__; print({'torch', 'pydantic', 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", light], capture_output=True, text=True)
    assert done.stdout == "set()\n", done.stderr


def test_bad_use_is_one_line(job, vidtune, tmp_path, monkeypatch):
    nothing = subprocess.run(
        [sys.executable, "-m", "vidtune", "lease", "--", "no-such-command"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert nothing.returncode == 2
    assert nothing.stderr == (
        "vidtune lease: no-such-command: No such file or directory; expected a command to run\n"
    )
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    monkeypatch.setenv(FOLDER, str(tmp_path / "link"))
    code, _, err = vidtune("lease", "--", "true")
    assert code == 2 and "not a folder of this user" in err
    (tmp_path / "file").touch()
    monkeypatch.setenv(FOLDER, str(tmp_path / "file"))
    code, _, err = vidtune("lease", "--", "true")
    assert code == 2 and f"set {FOLDER}" in err


def test_no_place_for_slots_is_one_line(job, vidtune, monkeypatch):
    def refused(fd: int, how: int) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")  # Lustre without -o flock

    with monkeypatch.context() as patch:
        patch.setattr("vidtune.gpu.lease.fcntl.flock", refused)
        code, _, err = vidtune("lease", "--", "true")
    assert code == 2 and f"Function not implemented; set {FOLDER} to" in one_line(err)

    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr("vidtune.gpu.lease.tempfile.gettempdir", none)
    code, _, err = vidtune("lease", "--", "true")
    assert code == 2 and "TMPDIR: No usable temporary directory" in one_line(err)


def test_every_rule_that_may_use_a_gpu_leases_it():
    rules = (REPO / "workflow/rules/run.smk").read_text()
    commands = re.findall(r'^ +"(.*python -m vidtune .*) >', rules, re.M)
    assert len(commands) == len(re.findall(r"^ *rule ", rules, re.M))
    leased = r"exec {params\.lease} -- python|{resources\.launch} python"  # vidtune/cluster.py
    assert all(re.match(leased, command) for command in commands)
