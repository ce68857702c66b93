"""The profile of LSF, PBS and SGE with commands that stand in for the schedulers'."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
from helpers.common import REPO

GENERIC = REPO / "workflow/profiles/generic"
needs_executor = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_cluster_generic") is None,
    reason="no snakemake-executor-plugin-cluster-generic here: pip install -e '.[cluster]'",
)

# LSF as a queue of this machine. A job is a folder: its script, the id of the session that runs it, and at
# its end its exit code; one that ends with the code of -Q runs again. Snakemake ignores SIGUSR1, which a
# scheduler's daemon would not hand down.
LSF = {
    "bsub": r"""
        id=$(($(ls "$NOTES" | grep -c ^job) + 1)) job="$NOTES/job$id" again=
        mkdir "$job" && cat > "$job/script" && printf '%s\n' "$@" > "$job/told"
        while [ $# -gt 0 ]; do [ "$1" != -Q ] || again=$2; shift; done
        "$NOTES/../bin/queue" "$job" "$again" > /dev/null 2>&1 &
        echo "Job <$id> is submitted to default queue <normal>."
        """,
    "queue": r"""
        code=$2
        until [ "$code" != "$2" ]; do
          echo start >> "$1/starts"
          env --default-signal=USR1 setsid bash "$1/script" >> "$1/log" 2>&1 &
          echo $! > "$1/session"
          wait $!; code=$?
        done
        echo $code > "$1/code"
        """,
    "bjobs": r"""
        for id; do :; done
        if ! [ -s "$NOTES/job$id/code" ]; then echo RUN
        elif [ "$(cat "$NOTES/job$id/code")" = 0 ]; then echo DONE; else echo EXIT; fi
        """,
    # LSF's own, JOB_TERMINATE_INTERVAL later: a Snakemake may wait for a lock that it holds itself
    "bkill": """
        for id; do
          session=$(cat "$NOTES/job$id/session"); kill -s TERM -- "-$session"
          (sleep 10; kill -s KILL -- "-$session") > /dev/null 2>&1 &
        done
        """,
}
PBS = {"qsub": 'printf "%s\\n" "$@" > "$NOTES/told"; echo 18.server'}
SGE = {"qconf": "", "qsub": 'printf "%s\\n" "$@" > "$NOTES/told"; echo 19'}


@pytest.fixture
def scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """A function that puts commands on PATH, and gives the folder of their notes."""

    def install(commands: dict[str, str]) -> Path:
        folder, notes = tmp_path / "bin", tmp_path / "notes"
        folder.mkdir()
        notes.mkdir()
        for name, text in commands.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("NOTES", str(notes))
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        return notes

    return install


# --- a part of the smoke scale ---

STEPS = 200  # some seconds, so that something can happen to the training
RUN = "side4video/b16-ssv1"
RECIPE = "smoke-recognition: {base: mini-recognition, batch: 16, group: 8, steps: 4}"
PATIENCE = 300  # seconds


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with the profile as it is shipped, a longer training, and a snapshot every second."""
    place = tmp_path / "place"
    place.mkdir()
    for name in ("Snakefile", "profiles", "workflow", "environment.yml"):
        (place / name).symlink_to(REPO / name)
    for name in ("config", "vidtune"):
        shutil.copytree(REPO / name, place / name, ignore=shutil.ignore_patterns("*.pyc"))
    for path, old, new in (
        ("config/recipes.yaml", RECIPE, RECIPE.replace("steps: 4", f"steps: {STEPS}")),
        ("vidtune/engine/snapshot.py", "SAVE_EVERY = 60.0", "SAVE_EVERY = 1.0"),
    ):
        text = (place / path).read_text()
        assert text.count(old) == 1
        (place / path).write_text(text.replace(old, new))
    return place


@needs_executor
def test_lsf_runs_a_part_of_smoke_scale_whatever_happens_to_the_training(
    place, scheduler, tmp_path
):
    """Warned of the time limit the job is queued again, and no retry is spent; cancelled it is tried again;
    each time the training goes on."""
    notes = scheduler(LSF)
    run = place / f"results/smoke/runs/{RUN}@0"
    log = place / f"results/smoke/logs/learn/{RUN}.log"
    command = [sys.executable, "-m", "snakemake", "--profile", "workflow/profiles/generic"]
    command += ["--seconds-between-status-checks", "1", "--config", "scale=smoke", "--"]
    said = tmp_path / "said"
    with said.open("wb") as out:
        main = subprocess.Popen(
            [*command, str((run / "eval.json").relative_to(place))],
            cwd=place,
            env=os.environ | {"PYTHONPATH": str(place)},
            stdout=out,
            stderr=out,
        )
    try:

        def wait_for(happened: Callable[[], bool]) -> None:
            end = time.monotonic() + PATIENCE
            while not happened():
                assert time.monotonic() < end, said.read_text()[-6000:]
                assert main.poll() is None, said.read_text()[-6000:]
                time.sleep(0.1)

        def resumed() -> list[str]:
            """The step that the latest attempt went on after: Snakemake keeps no log of others."""
            said = log.read_text() if log.is_file() else ""
            return re.findall(r"goes on after step (\d+)", said)

        wait_for((run / "resume.pt").is_file)
        learn = next(n for n in (3, 2, 1) if (notes / f"job{n}").is_dir())
        os.kill(int((notes / f"job{learn}/session").read_text()), signal.SIGUSR1)  # it alone
        wait_for(lambda: bool(resumed()))
        (first,) = resumed()
        assert len((notes / f"job{learn}/starts").read_text().split()) == 2
        assert "Trying to restart" not in said.read_text()
        subprocess.run(["bkill", str(learn)], check=True)  # all its processes
        assert main.wait(PATIENCE) == 0, said.read_text()[-6000:]
    finally:
        if main.poll() is None:
            main.kill()
    (second,) = resumed()
    assert (run / "eval.json").is_file() and 0 < int(first) <= int(second) < STEPS
    assert ": stopped after step" in said.read_text()
    assert said.read_text().count("Trying to restart job") == 1
    codes = [(notes / f"job{n + 1}/code").read_text().strip() for n in range(learn + 1)]
    assert codes.pop(learn - 1) in ("1", "137")  # where it had not ended 10 s later
    assert codes == ["0"] * learn
    told = (notes / f"job{learn}/told").read_text().splitlines()
    pairs = dict(pairwise(told))
    assert (pairs["-n"], pairs["-W"], pairs["-Q"]) == ("1", "30", "99")
    assert "rusage[mem=4096]" in pairs["-R"] and pairs["-gpu"] == "num=1:mode=shared"


# --- what the schedulers are told, and what they say ---


@pytest.mark.parametrize(
    "commands, told",
    [
        (LSF, ["num=2:mode=shared", "long"]),
        (PBS, ["select=1:ncpus=8:mem=64000mb:ngpus=2", "walltime=1:30:00", "long"]),
        (SGE, ["h_rt=5400,s_rt=5280,h_vmem=8000M", "gpu=2", "long"]),
    ],
)
def test_what_a_job_asks_for_reaches_a_scheduler(commands, told, scheduler, tmp_path):
    notes = scheduler(commands)
    script = tmp_path / "job.sh"
    script.write_text("true\n")
    command = [GENERIC / "submit", "8", "64000", "90", "2", "long", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() in ("1", "18.server", "19"), done.stderr
    (noted,) = notes.rglob("told")
    assert set(told) <= set(noted.read_text().splitlines())


def pbs(state: str) -> dict[str, str]:
    return {"qstat": f"printf '{state}'"}


def forgotten(state: str, code: int = 0) -> dict[str, str]:
    """A server without a history of jobs."""
    answer = f"printf '{state}' >&{1 + (code > 0)}; exit {code}"
    return {"qstat": f"[ $1 != -x ] || exit 1; {answer}"}


def sge(known: bool, runs: str | None = None) -> dict[str, str]:
    account = "exit 1" if runs is None else f"printf '{runs}'"
    return {"qconf": "", "qstat": f"exit {int(not known)}", "qacct": account}


@pytest.mark.parametrize(
    "commands, says",
    [
        ({"bjobs": "echo DONE"}, "success"),
        ({"bjobs": "echo EXIT"}, "failed"),
        ({"bjobs": "echo PEND"}, "running"),
        ({"bjobs": "exit 255"}, "running"),  # busy
        (pbs("    job_state = F\\n    Exit_status = 0\\n"), "success"),
        (pbs("    job_state = F\\n    Exit_status = 1\\n"), "failed"),
        (pbs("    job_state = F\\n    Exit_status = 271\\n"), "failed"),  # by qdel
        (pbs("    job_state = R\\n"), "running"),
        ({"qstat": "echo busy >&2; exit 1"}, "running"),
        (forgotten("    job_state = R\\n"), "running"),
        (
            forgotten("qstat: Unknown Job Id 17", 153),
            "failed",
        ),  # killed, or it would have left its code
        (sge(known=True), "running"),
        (sge(known=False), "running"),  # not accounted for yet
        (sge(False, "failed 0\\nexit_status 0\\n"), "success"),
        (sge(False, "failed 0\\nexit_status 1\\n"), "failed"),
        (sge(False, "failed 25\\nexit_status 99\\nfailed 0\\nexit_status 0\\n"), "success"),
        (sge(False, "failed 25\\nexit_status 99\\nfailed 0\\nexit_status 1\\n"), "failed"),
    ],
)
def test_what_becomes_of_a_job(commands, says, scheduler):
    scheduler(commands)
    done = subprocess.run([GENERIC / "status", "17"], capture_output=True, text=True)
    assert done.stdout.strip() == says, done.stderr


@pytest.mark.parametrize(("ends", "says"), [("true", "success"), ("exit 3", "failed")])
@pytest.mark.parametrize(
    ("folder", "job", "answers"),
    [
        ("PBS_O_WORKDIR", "PBS_JOBID", forgotten("qstat: Unknown Job Id 17.server", 153)),
        ("SGE_O_WORKDIR", "JOB_ID", sge(False)),
        ("LS_SUBCWD", "LSB_JOBID", {"bjobs": "exit 255"}),
    ],
)
def test_a_job_leaves_its_code_where_a_scheduler_keeps_no_history(
    folder, job, answers, ends, says, scheduler, tmp_path
):
    (tmp_path / ".snakemake/cluster_logs").mkdir(parents=True)
    script = tmp_path / "script"
    script.write_text((GENERIC / "jobscript").read_text().format(properties="", exec_job=ends))
    env = os.environ | {folder: str(tmp_path), job: "17.server"}
    done = subprocess.run(["bash", script], env=env, start_new_session=True)
    assert (done.returncode == 0) == (says == "success")
    scheduler(answers)
    command = [GENERIC / "status", "17.server"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert told.stdout.strip() == says, told.stderr


def test_without_a_scheduler_submit_says_so(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("bash", "mkdir", "env"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    command = [GENERIC / "submit", "1", "1", "1", "0", "-", "x"]
    env = {"PATH": str(tmp_path / "bin")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and "no bsub (LSF) and no qsub" in done.stderr
