"""The profiles as they are shipped, without a cluster; on a real SLURM: tests/cluster/run."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers.common import REPO, plan_at

from vidtune.cli.launch import Node, node
from vidtune.cluster import CORES, UNKNOWN, Asks, Site
from vidtune.cost.fits import Choice
from vidtune.events import describe_failure
from vidtune.spec import UserError
from vidtune.workflow import Workflow, start

RUN = "side4video/b16-ssv1@0"
needs_executor = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_slurm") is None,
    reason="no snakemake-executor-plugin-slurm here: pip install -e '.[cluster]'",
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that Snakemake can run in, whose results are its own."""
    place = tmp_path / "place"
    place.mkdir()
    for name in ("config", "profiles", "vidtune", "workflow", "environment.yml"):
        (place / name).symlink_to(REPO / name)
    return place


def snakemake(place: Path, profile: str, *args: str, path: str = "") -> str:
    command = [sys.executable, "-m", "snakemake", "--profile", f"workflow/profiles/{profile}"]
    env = os.environ | {"PATH": f"{path}:{os.environ['PATH']}", "PYTHONPATH": str(REPO)}
    done = subprocess.run(
        [*command, *args], cwd=place, env=env, capture_output=True, text=True, timeout=300
    )
    out = done.stdout + done.stderr
    assert done.returncode == 0, out[-6000:]
    return out


@needs_executor
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
    assert asks.run_mb(RUN, 4) == asks.run_mb(RUN, 2)
    most = asks.run_mb(RUN, 1) + 1
    assert Asks(plan, {}, Site(max_mb=most)).run_mb(RUN, 2) == most
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
    assert asks.cores(RUN, "look") == CORES  # on one
    assert asked["nodes"](of_run()) == asks.nodes(RUN) == (2 if site.gpus_per_node else 1)
    assert asks.run_mb(RUN, 1, "look") == Asks(plan, {}, site).run_mb(RUN, 1) < asks.run_mb(RUN, 1)


def test_a_profiles_value_loses_its_own_quotes_alone():
    values = {"slurm_extra": "'--comment=\"my lab\"'", "gpu_as": '"gres"', "gpu_type": "a'b"}
    assert Site.read(values)[1:] == ("gres", "a'b", 0, 0, 0, '--comment="my lab"')


@pytest.mark.parametrize("given", [["seeds=[3, 4]", "data=elsewhere"], ["results=out"]])
def test_what_shows_results_has_the_settings_of_the_jobs(given, place):
    command = ["-n", "--cores", "1", "--printshellcmds", "--config", "scale=smoke", *given]
    run = [sys.executable, "-m", "snakemake", *command]
    env = os.environ | {"PYTHONPATH": str(REPO)}
    out = subprocess.run(run, cwd=place, env=env, capture_output=True, text=True, timeout=300)
    shown = [line for line in out.stdout.splitlines() if "vidtune collect" in line]
    data, seeds = ("elsewhere", " --seeds 3 4") if len(given) == 2 else ("data", "")
    results = "results" if seeds else "out"
    told = f"--scale smoke --results {results} --papers side4video tempme --data {data}{seeds}"
    assert len(shown) == 1 and told in shown[0], out.stderr


def test_a_job_leaves_specs_as_they_were_when_it_was_submitted(place, monkeypatch, capsys):
    """The configuration may have been edited since."""
    monkeypatch.chdir(place)
    made = Workflow({"scale": "smoke"})
    spec = made.plan.spec_of("runs", RUN)
    before = spec.read_text()
    recipes = (REPO / "config/recipes.yaml").read_text()
    edited = recipes.replace("smoke-recognition: {", "smoke-recognition: {lr: 0.5, ")
    (place / "config").unlink()
    shutil.copytree(REPO / "config", place / "config")
    (place / "config/recipes.yaml").write_text(edited)
    Workflow({"scale": "smoke"}, job=True)
    assert spec.read_text() == before
    spec.unlink()
    Workflow({"scale": "smoke"}, job=True)
    assert spec.read_text() != before  # one that is missing is made
    spec.write_text(before)
    locks = Path(".snakemake/locks")
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("results/full/rows.csv\nresults/smoke/rows.csv\n")
    start({"scale": "smoke"}, announce=True, defaults={}, dry=True)  # beside one that is at work
    said = capsys.readouterr().err.splitlines()[0]
    assert "are left as they are" in said and "at work on results/smoke" in said
    env = os.environ | {"PYTHONPATH": str(REPO)}
    run = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "scale=smoke"]
    refused = subprocess.run(run, cwd=place, env=env, capture_output=True, text=True, timeout=300)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "second checkout" in refused.stderr.splitlines()[-1]
    assert spec.read_text() == before and (locks / "0.output.lock").is_file()
    subprocess.run(
        [*run, "--unlock"], cwd=place, env=env, capture_output=True, check=True, timeout=300
    )
    assert spec.read_text() == before and not locks.exists()
    locks.mkdir()
    (locks / "0.output.lock").write_text("results/full/rows.csv\n")
    start({"scale": "smoke"}, announce=True, defaults={})
    assert spec.read_text() != before and not capsys.readouterr().err
    for job in (False, True):  # which would train whole batches on one of its GPUs
        with pytest.raises(UserError, match="predictions of memory are missing"):
            Workflow({"scale": "smoke", "gpus": "2x80GiB"}, job=job)


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
    assert "--ntasks-per-node=1 " in asks.launch(RUN) and "--cpus-per-task=" in asks.launch(RUN)
    too_large = Asks(plan, {RUN: "a clip needs 90 GiB"}, site)
    assert too_large.choice(RUN, "look").ranks == 1
    with pytest.raises(UserError, match="a clip needs 90 GiB; it is left out, but was asked for"):
        too_large.choice(RUN)
    assert asks.run_mb(RUN, 1) == Asks(plan, {RUN: Choice(6, 1, 8, 40.0)}).run_mb(RUN, 1)
    assert "srun --nodes=2 --ntasks=2 --ntasks-per-node=1" in asks.launch(RUN)
    assert asks.launch(RUN).endswith("vidtune.gpu --count 6 --")
    one = Asks(plan, {}, site).on_gpus()
    assert one["nodes"](of_run()) == 1 and one["mpi"](of_run()) is None


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
    with log.open("a") as file:
        file.write(
            "[rank0]:[W1126 20:17:32.145 ProcessGroupNCCL.cpp:1524] Warning: WARNING: destroy\n"
        )
    assert describe_failure(facts) == said  # not what torch says as it ends
    log.unlink()
    assert describe_failure(facts | {"aux": {}}).endswith("failed (here): its log is empty")
