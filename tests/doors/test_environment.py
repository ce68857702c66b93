"""Places and machines as users have them: no home, a notebook's settings, little memory, lost GPUs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import fake_nvml
from helpers.common import REPO, one_line, plan_at

from vidtune import __main__ as module
from vidtune import progress
from vidtune.__main__ import Unfailing
from vidtune.data import workers
from vidtune.gpu import devices, lease
from vidtune.remote import cache
from vidtune.report.numbers import results, rows
from vidtune.spec import UserError, write_text


def script(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPO)}
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=REPO, env=kept | env, timeout=120
    )


def test_a_backend_of_matplotlib_that_is_not_here_is_not_used():
    code = "import vidtune.report.plots as p, matplotlib; print(matplotlib.get_backend())"
    done = script(code, MPLBACKEND="module://nobody.backend", HOME="/proc/none")
    assert done.returncode == 0 and done.stdout.strip().lower() == "agg", done.stderr
    assert done.stderr == ""


def test_a_user_without_a_home_is_told_what_to_set(monkeypatch):
    def nobody(_: str) -> str:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.delenv("VIDTUNE_CACHE", raising=False)
    monkeypatch.setattr(cache, "user_cache_dir", nobody)
    with pytest.raises(UserError, match="set VIDTUNE_CACHE, or HOME, to a folder of your own"):
        cache.folder()
    monkeypatch.setenv("VIDTUNE_CACHE", "~no-such-user/x")
    with pytest.raises(UserError, match="VIDTUNE_CACHE: ~no-such-user/x: no home folder"):
        cache.folder()


def test_a_results_folder_that_is_shut_is_one_line(tmp_path, as_nobody):
    plan = plan_at(tmp_path, "smoke")
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    (plan.root / "runs").mkdir()
    (plan.root / "runs").chmod(0o700)
    asked = ("--config", REPO / "config", "--results", tmp_path, "--scale", "smoke")
    for verb in ("summary", "collect", "report"):
        done = as_nobody("vidtune.cli,matplotlib,vidtune.report.page.page", verb, *asked)
        assert done.returncode == 2 and "runs" in one_line(done.stderr), done.stderr


def test_processes_without_shared_memory_are_one_line(monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(workers, "ProcessPoolExecutor", full)
    with pytest.raises(UserError, match=r"/dev/shm: Read-only file system; .*make it writable"):
        workers.process_pool(1)


def test_shared_memory_that_cannot_be_written_has_no_room(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "SHARED_MEMORY", str(tmp_path / "none"))
    assert workers.free_shared_memory() == 0
    monkeypatch.setattr(workers, "SHARED_MEMORY", str(tmp_path))
    assert workers.free_shared_memory() > 0


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDTUNE_GPU_SLOTS", str(tmp_path / "slots"))
    monkeypatch.delenv("VIDTUNE_GPU_LEASE", raising=False)
    return fake_nvml.install(tmp_path, monkeypatch)


LOST = {"uuid": None}  # NVML counts it, and does not answer


@pytest.mark.parametrize("lost", range(4))
def test_of_four_gpus_the_three_that_answer_are_used(gpus, monkeypatch, lost):
    gpus(*(LOST if i == lost else {"uuid": f"GPU-{i}"} for i in range(4)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sound = [f"GPU-{i}" for i in range(4) if i != lost]
    assert [d.uuid for d in devices.visible()] == sound
    taken = lease.take(number=3)
    assert taken and taken.device == ",".join(sound)
    taken.release()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", sound[0])
    assert [d.uuid for d in devices.visible()] == sound[:1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"{lost}")
    assert devices.visible() == ()


def test_where_all_gpus_are_lost_nothing_runs_on_the_cpu_instead(gpus, monkeypatch):
    gpus(LOST, LOST)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(UserError, match="none of 2 GPUs answers"):
        devices.visible()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert devices.visible() == ()


@pytest.mark.parametrize(
    "how", [{"number": 0}, {"number": -1}, {"timeout": -1.0}, {"timeout": float("nan")}]
)
def test_a_lease_of_nothing_does_not_wait_for_ever(gpus, how):
    gpus({})
    with pytest.raises(UserError, match="expected a GPU or more, and seconds"):
        lease.take(**how)


def test_slots_that_cannot_be_written_are_one_line(gpus, monkeypatch):
    gpus({"uuid": "GPU-0"})
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    opened = os.open

    def shut(path: str | Path, *args: object) -> int:
        if str(path).endswith(".lock"):
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args)

    monkeypatch.setattr(lease.os, "open", shut)
    with pytest.raises(UserError, match=r"\.lock: Permission denied; set VIDTUNE_GPU_SLOTS"):
        lease.take()


def test_warnings_of_libraries_are_no_lines_of_ours():
    code = (
        "import sys, warnings; sys.argv = ['vidtune', 'ls', '--scale', 'no']\n"
        "from vidtune import cli, __main__\n"
        "def main():\n  warnings.warn('of a library'); return 2\n"
        "__main__.main = main; sys.exit(__main__.run())"
    )
    done = script(code)
    assert done.returncode == 2 and done.stderr == ""


@pytest.mark.parametrize(
    ("words", "code"), [(["ls", "--paper", "nobody"], 2), (["ls", "--paper", "tempme"], 0)]
)
def test_a_log_on_a_full_disk_ends_nothing(words, code):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vidtune", *words],
            cwd=REPO,
            stdout=subprocess.DEVNULL,
            stderr=full,
        )
    assert done.returncode == code


def test_progress_goes_on_where_its_log_has_no_room(monkeypatch):
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", Unfailing(full))
        monkeypatch.setattr(progress, "EVERY", 0.0)
        assert list(progress.progress(range(3), 3, "counting")) == [0, 1, 2]
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())  # what is left to say goes there


@pytest.mark.parametrize(("fails", "code"), [(lambda: 2, 2), (lambda: 1 / 0, 1)])
def test_a_rank_that_fails_waits_for_no_other(fails, code, monkeypatch, capsys):
    """At the end of the interpreter NCCL waits for the other ranks, which wait for this one."""

    class Ended(BaseException):
        pass

    def ended(found: int) -> None:
        raise Ended(found)

    monkeypatch.setenv("RANK", "1")
    for name, value in (("main", fails), ("stop", signal.SIG_DFL)):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(os, "_exit", ended)
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    before = [signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGUSR1)]
    try:
        with pytest.raises(Ended) as e:
            module.run()
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGUSR1), before, strict=True):
            signal.signal(number, handler)
    assert e.value.args == (code,)
