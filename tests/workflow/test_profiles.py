"""The profiles as they are shipped, without a cluster; on a real SLURM: tests/cluster/run."""

import os
import re
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.common import REPO, plan_at

from vidtune.cli.launch import Node, node
from vidtune.cluster import CORES, UNKNOWN, Asks, Site
from vidtune.cost.fits import Choice
from vidtune.events import describe_failure
from vidtune.spec import UserError

RUN = "side4video/b16-ssv1@0"
PROFILES = REPO / "workflow/profiles"


def snakemake(place: Path, profile: str, *args: str, path: str = "") -> str:
    command = [sys.executable, "-m", "snakemake", "--profile", f"workflow/profiles/{profile}"]
    env = os.environ | {"PATH": f"{path}:{os.environ['PATH']}", "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [*command, *args], cwd=place, env=env, capture_output=True, text=True, timeout=300
    )
    out = done.stdout + done.stderr
    assert done.returncode == 0, out[-6000:]
    return out


@pytest.mark.parametrize(
    "profile, asks", [("slurm", "gpu=1"), ("slurm-multinode", "--gpus-per-node=1")]
)
def test_slurm_plans_without_a_cluster(profile, asks, place):
    out = snakemake(place, profile, "-n", "--config", "scale=smoke")
    rules = {part.split(":")[0]: part for part in out.split("\nrule ")[1:]}
    assert all(text in rules["learn"] for text in ("runtime=30", "mem_mb=4096", "ranks=1", asks))
    assert "--signal=USR1@120" in rules["learn"]
    assert "ranks=" not in rules["generate"] and " gpu=" not in rules["generate"]
    for rule in ("cost", "memory", "collect"):
        assert rule in rules
    assert re.search(r"\nJob \d+: report: ", out)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    return plan_at(tmp_path_factory.mktemp("full"), "full")


def of_run() -> SimpleNamespace:
    return SimpleNamespace(run=RUN)


def test_later_attempts_have_more_up_to_the_longest_job(plan):
    asks = Asks(plan, {}, Site(max_minutes=2 * UNKNOWN["train"] + 1))
    times = [asks.run_minutes("train", RUN, attempt) for attempt in (1, 2, 3)]
    assert times == [UNKNOWN["train"], 2 * UNKNOWN["train"], 2 * UNKNOWN["train"] + 1]
    assert asks.run_mb(RUN, 2) in (2 * asks.run_mb(RUN, 1), 2 * asks.run_mb(RUN, 1) - 1)
    assert asks.cores(RUN) == CORES and asks.launch(RUN).startswith("exec python -m vidtune.gpu")
    minutes = asks.minutes("collect")
    assert (minutes(None, 1), minutes(None, 2)) == (30, 60)


@pytest.mark.parametrize(
    "site, key, value",
    [
        (Site(gpu_as="gpus", gpu_type="a100"), "gpu", 4),
        (Site(gpu_as="gres"), "gres", "gpu:4"),
        (Site(gpu_as="gres", gpu_type="a100", gpus_per_node=2), "gres", "gpu:a100:2"),
        (Site(gpu_as="gpus-per-node", slurm_extra="-x a"), "slurm_extra", "-x a --gpus-per-node=4"),
    ],
)
def test_gpus_are_asked_for_as_the_site_does(site, key, value, plan):
    asks = Asks(plan, {RUN: Choice(4, 1, 32, 40.0)}, site)
    asked = asks.on_gpus()
    assert asked[key](of_run()) == value
    assert {"gpu", "gres", "slurm_extra"} & set(asked) == {key}  # one spelling, or sbatch refuses
    assert asked["ranks"](of_run()) == 4 and asks.cores(RUN) == 4 * CORES


def test_a_run_on_two_nodes_is_started_by_srun(plan):
    site = Site(gpu_as="gpus-per-node", gpus_per_node=8, gpu_partition="gpu")
    asks = Asks(plan, {RUN: Choice(12, 1, 4, 40.0)}, site)
    asked = {k: v(of_run()) if callable(v) else v for k, v in asks.on_gpus().items()}
    assert asked["slurm_extra"] == "--gpus-per-node=6" and asked["slurm_partition"] == "gpu"
    assert (asked["nodes"], asked["tasks"], asked["mpi"], asked["tasks_per_gpu"]) == (
        2,
        2,
        "srun",
        0,
    )
    assert asked["cpus_per_task"] == 6 * CORES
    assert "srun --nodes=2 --ntasks=2 --ntasks-per-node=1" in asks.launch(RUN)
    assert asks.launch(RUN).endswith("vidtune.gpu --count 6 --")
    one = Asks(plan, {}, site).on_gpus()
    assert one["nodes"](of_run()) is None and one["mpi"](of_run()) is None


@pytest.mark.parametrize(
    "defaults, says",
    [
        ({"gpu_as": "'gpu'"}, "gpu_as: expected one of gpus, gres, gpus-per-node; found 'gpu'"),
        ({"max_minutes": "2 days"}, "max_minutes: expected a whole number; found '2 days'"),
        ({"gpus_per_node": "-1"}, "gpus_per_node: expected a whole number; found '-1'"),
    ],
)
def test_a_sites_values_are_checked(defaults, says):
    with pytest.raises(UserError, match=says):
        Site.read(defaults)


def test_a_node_has_its_share_of_the_ranks(tmp_path, monkeypatch):
    env = {
        "SLURM_NODEID": "1",
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_STEP_NODELIST": "gpu[03,05]",
        "SLURM_JOB_ID": "12345",
    }
    scontrol = tmp_path / "scontrol"
    scontrol.write_text("#!/bin/sh\nprintf 'gpu03\\ngpu05\\n'\n")
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert node(16, 2, env) == Node(8, 8, "gpu03", 20345)
    for ranks, nodes, given, says in (
        (15, 2, env, "--ranks 15: expected a multiple of --nodes 2"),
        (16, 2, {}, "SLURM does not say which node this is; start it by `srun --nodes 2"),
        (16, 4, env, "srun has started this on 2"),
    ):
        with pytest.raises(UserError, match=says):
            node(ranks, nodes, given)


def test_a_failed_job_says_why_in_one_line(tmp_path):
    log = tmp_path / "train.log"
    log.write_text("goes on after step 3\nvidtune train: told to stop\n\n")
    facts = {
        "rule_name": "train",
        "output": ["results/model.pt"],
        "log": [str(log), "slurm.log"],
        "rule_msg": "SLURM-job '47' failed, SLURM status is: 'TIMEOUT'. ",
        "aux": {"external_jobid": "47"},
    }
    said = describe_failure(facts)
    assert said == (
        "vidtune: train of results/model.pt failed (job 47 TIMEOUT): vidtune train: told to stop"
    )
    log.unlink()
    assert describe_failure(facts | {"aux": {}}).endswith("failed (here): its log is empty")


# Commands that stand in for a scheduler's: they note what they are told, and run the job at once.
LSF = {
    "bsub": 'printf "%s\\n" "$@" > "$NOTES/bsub"\n'
    'for script; do :; done\n"$script" > "$NOTES/job.log" 2>&1; echo $? > "$NOTES/code"\n'
    'echo "Job <17> is submitted to default queue <normal>."\n',
    "bjobs": '[ "$(cat "$NOTES/code")" = 0 ] && echo DONE || echo EXIT\n',
    "bkill": 'echo "$@" > "$NOTES/bkill"\n',
}
PBS = {"qsub": 'printf "%s\\n" "$@" > "$NOTES/qsub"\necho 18.server\n'}


@pytest.fixture
def scheduler(tmp_path, monkeypatch):
    """A function that puts commands on PATH, and gives the folder of their notes."""

    def install(commands: dict[str, str]) -> Path:
        folder, notes = tmp_path / "bin", tmp_path / "notes"
        folder.mkdir()
        notes.mkdir()
        for name, text in commands.items():
            (folder / name).write_text(f"#!/usr/bin/env bash\n{text}")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("NOTES", str(notes))
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        return notes

    return install


def test_lsf_runs_a_job(place, scheduler):
    notes = scheduler(LSF)
    target = "data/motion-smoke/manifest.json"
    began = time.monotonic()
    snakemake(place, "generic", "--config", "scale=smoke", "--", target)
    assert (place / target).is_file() and time.monotonic() - began < 200
    told = (notes / "bsub").read_text().splitlines()
    pairs = dict(pairwise(told))
    assert (pairs["-n"], pairs["-W"]) == ("1", "30") and "rusage[mem=4096]" in pairs["-R"]
    assert "-gpu" not in told and "-q" not in told


@pytest.mark.parametrize(
    "commands, told",
    [
        (LSF, ["-gpu", "num=2:mode=shared", "-q", "long"]),
        (PBS, ["select=1:ncpus=8:mem=64000mb:ngpus=2", "walltime=1:30:00", "long"]),
    ],
)
def test_gpus_reach_a_scheduler(commands, told, scheduler, tmp_path):
    notes = scheduler(commands)
    script = tmp_path / "job.sh"
    script.write_text("#!/bin/sh\ntrue\n")
    script.chmod(0o755)
    command = [PROFILES / "generic/submit", "8", "64000", "90", "2", "long", script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.strip() in ("17", "18.server"), done.stderr
    name = next(iter(commands))
    assert set(told) <= set((notes / name).read_text().splitlines())


def test_without_a_scheduler_submit_says_so(tmp_path):
    (tmp_path / "bin").mkdir()
    for name in ("bash", "mkdir", "env"):
        (tmp_path / "bin" / name).symlink_to(f"/usr/bin/{name}")
    command = [PROFILES / "generic/submit", "1", "1", "1", "0", "-", "x"]
    env = {"PATH": str(tmp_path / "bin")}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 2 and "no bsub (LSF) and no qsub" in done.stderr
