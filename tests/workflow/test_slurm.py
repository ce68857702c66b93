"""What SLURM does not know is one line ahead of the first job; what sbatch refuses is explained."""

import logging
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vidtune import slurm
from vidtune.cluster import Site
from vidtune.events import Eta, describe_failure
from vidtune.spec import UserError
from vidtune.workflow import ask_slurm

DISABLED = "echo 'Slurm accounting storage is disabled' >&2; exit 1"
KNOWS = {"sacct": "", "sinfo": "printf 'cpu\\ngpu\\n'", "sacctmgr": "printf 'Lab\\nother\\n'"}


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """A function that puts commands in the place of SLURM's."""

    def install(given: dict[str, str]) -> None:
        for name, text in given.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return install


@pytest.mark.parametrize(
    "given, status, says",
    [
        ({}, "sacct", None),
        (
            {"slurm_partition": "'cpu'", "gpu_partition": "'gpu'", "slurm_account": "'lab'"},
            "sacct",
            None,
        ),
        ({"slurm_partition": "'cpu,gpu'"}, "squeue", None),
        (
            {"gpu_partition": "'gpux'"},
            "squeue",
            "default-resources: gpu_partition: 'gpux' is not known .* `sinfo -s` lists cpu, gpu; fix",
        ),
        ({"slurm_partition": "'cpu,x'"}, "squeue", "slurm_partition: 'x' is not known"),
        (
            {"slurm_account": "'labx'"},
            "sacct",
            "slurm_account: 'labx' .* lists for you Lab, other",
        ),
    ],
)
def test_partitions_and_accounts(given, status, says, commands):
    commands(KNOWS)
    if says is None:
        return slurm.check(given, status)
    with pytest.raises(UserError, match=says):
        slurm.check(given, status)


def test_without_accounts_jobs_are_watched_by_squeue(commands, capsys):
    commands(KNOWS | {"sacct": DISABLED, "sacctmgr": DISABLED})
    slurm.check({"slurm_account": "'lab'"}, "squeue")
    with pytest.raises(UserError, match=r"storage is disabled'.* take the line `slurm-status"):
        slurm.check({}, "sacct")

    class Settings:
        status_command = "sacct"

    with pytest.raises(SystemExit) as e:
        ask_slurm({}, Settings())
    assert e.value.code == 2 and capsys.readouterr().err.count("\n") == 1
    ask_slurm({}, None)


def test_a_slurm_that_does_not_answer_is_passed_over(commands, monkeypatch):
    monkeypatch.setattr(slurm, "PATIENCE", 0.2)
    commands(dict.fromkeys(KNOWS, "exec sleep 5"))
    slurm.check({"slurm_partition": "'x'", "slurm_account": "'x'"}, "sacct")
    commands(dict.fromkeys(KNOWS, "exit 1"))
    slurm.check({"slurm_partition": "'x'", "slurm_account": "'x'"}, "squeue")

    def absent(*_args, **_options):
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    slurm.check({"slurm_partition": "'x'"}, "sacct")


@pytest.mark.parametrize(
    "name, meant",
    [
        ("gpu_partion", "gpu_partition"),
        ("max_minute", "max_minutes"),
        ("slurm_acount", "slurm_account"),
    ],
)
def test_a_key_that_nothing_reads(name, meant):
    with pytest.raises(UserError, match=f"{name}: nothing reads it; did you mean {meant}"):
        Site.read({name: "'x'"})


def test_other_resources_are_nobodys_typing_errors():
    known = (
        "runtime",
        "mem_mb",
        "disk",
        "tmpdir",
        "gpu",
        "gpu_model",
        "gres",
        "tasks",
        "tasks_per_node",
    )
    Site.read(dict.fromkeys((*known, "qos", "constraint", "queue", "ranks", "scale"), 1))


@pytest.mark.parametrize(
    "said, advice",
    [
        ("Invalid account or account/partition combination specified", "slurm_account: `sacctmgr"),
        ("invalid partition specified: x", "slurm_partition, gpu_partition: `sinfo -s`"),
        ("Invalid generic resource (gres) specification", "gpu_as, gpu_type: "),
        ("Invalid Trackable RESource (TRES) specification", "gpu_as, gpu_type: "),
        ("Requested time limit is invalid (missing or exceeds some limit)", "max_minutes: "),
        ("Requested node configuration is not available", "--set-resources"),
        ("Socket timed out", "see docs/cluster.md, by symptom"),
    ],
)
def test_a_job_that_sbatch_refuses_says_what_to_change(said, advice):
    message = (
        f"SLURM sbatch failed. The error message was 'sbatch: error: {said}'.\n    sbatch call:\n"
    )
    facts = {"rule_name": "train", "output": ["x"], "log": [], "rule_msg": message, "aux": {}}
    told = describe_failure(facts)
    assert f"failed (here): sbatch: {said}: " in told and advice in told and "\n" not in told


def test_the_time_left_is_not_said_before_it_can_be_known(capsys):
    """Of rules whose seconds the scale does not know: a training counts as none until one has ended."""
    eta = Eta({"cost": 60.0}, at_once=1)

    def tell(event: str, **facts: object) -> str:
        record = logging.LogRecord("", logging.INFO, "", 0, "", (), None)
        record.__dict__ |= {"event": event, **facts}
        eta.emit(record)
        return capsys.readouterr().err

    tell("run_info", stats={"cost": 2, "train": 2, "total": 4})
    for job, rule, says in [
        (1, "cost", "1 of 4 jobs in 0 s, how much longer is known when a first `train` is done"),
        (2, "train", "2 of 4 jobs in 0 s, about 0 s left"),
    ]:
        tell("job_info", jobid=job, rule_name=rule)
        assert says in tell("job_finished", job_id=job)
