"""What a profile submits and what it costs: jobs that Snakemake plans, hours of kept predictions."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune import bill
from vidtune.cluster import BESIDE
from vidtune.cost import fits
from vidtune.cost.fits import Need, Speed
from vidtune.datasets.stages import STAGES
from vidtune.plan import Plan
from vidtune.spec import write_json

GFLOPS = {"encode": 1000.0, "step": 3000.0, "view": 500.0}
GPUS = "8x80GiB"


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Snakemake's dry run of the full matrix, where no data is."""
    place = tmp_path_factory.mktemp("place")
    for name in ("Snakefile", "config", "profiles", "vidtune", "workflow", "environment.yml"):
        (place / name).symlink_to(REPO / name)
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "8", "--config", "scale=full"]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-6000:]
    return done.stdout + done.stderr


@pytest.fixture
def full(tmp_path: Path) -> Plan:
    """The full matrix with a prediction of every workload."""
    full = plan_at(tmp_path, "full")
    for path in fits.missing(full):
        found = {"lines": [[1.0, 0.1]], "gradients": 0.1, "clip": 0.01, "test": 1.0}
        write_json(path, found | {"gflops": GFLOPS, "mixes": False, "provenance": {}})
    return full


@pytest.fixture
def slurm(monkeypatch: pytest.MonkeyPatch) -> bill.Profile:
    monkeypatch.chdir(REPO)
    return bill.read_profile("slurm")


def test_the_jobs_are_those_that_snakemake_plans(planned, slurm, tmp_path):
    found = bill.bill(plan_at(tmp_path, "full"), slurm)
    stats = planned.rpartition("Job stats:")[2]
    jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}
    expected = {row["rule"]: row["jobs"] for row in found["rules"]}
    described = expected.pop("data_describe")  # which waits for the data themselves
    assert {k: n for k, n in jobs.items() if k not in ("all", "total")} == expected
    assert found["submitted"] + found["beside"] == sum(expected.values()) + described
    assert expected["data_index_shard"] > 30 and described == 9


def test_what_runs_beside_snakemake_is_said_by_the_rules():
    """A dry run does not tell."""
    text = "".join(path.read_text() for path in (REPO / "workflow/rules").glob("*.smk"))
    rules = re.split(r"^rule ", text, flags=re.MULTILINE)
    said = [(r.split(":")[0], m[1]) for r in rules if (m := re.search(r'localrule: "(\w+)" in', r))]
    names = {name for name, _ in said} | {"report"}  # whose rules are named by parts
    assert all(name == asked for name, asked in said) and text.count(" in BESIDE") == len(said) + 2
    assert names | {f"data_{stage}" for stage in STAGES if f"data_{stage}" in BESIDE} == BESIDE


def test_what_all_wait_for_comes_first(planned):
    jobs = re.split(r"\n(?=rule )", planned)[1:]
    first = {re.match(r"rule (\w+)", j)[1]: "priority: 1" in j for j in jobs}
    before = {"fetch", *(rule for rule in first if rule.startswith("data_"))}
    assert {rule for rule, is_first in first.items() if is_first} == before


def test_gpu_hours_are_those_of_the_kept_predictions(full, slurm):
    found = bill.bill(full, slurm, GPUS, Speed(50.0, 5.0))
    split = fits.split_all(full, list(full.runs), 8, 80.0)

    def hours(rule: str, name: str) -> float:
        run = full.runs[name]
        need = Need.read(fits.kept_at(full, run.workload()))
        how = fits.training_hours if rule == "train" else fits.test_hours
        sizes = fits.items_of(full, run.dataset.name)
        found = how(run, sizes, need, split[name], Speed(50.0, 5.0))
        return found * split[name].ranks

    trained, tested = {*full.training_of.values()}, {*full.evaluation_of.values()}
    rules = {row["rule"]: row for row in found["rules"]}
    assert rules["train"]["jobs"] == len(trained) and rules["evaluate"]["jobs"] == len(tested)
    train = sum(hours("train", name) for name in trained)
    test = sum(hours("evaluate", name) for name in tested)
    assert rules["train"]["gpu_hours"] == pytest.approx(train)
    assert found["gpu_hours"] == pytest.approx(train + test) and found["unknown"] == 0
    tables = {row["table"]: row for row in found["tables"]}
    printed = next(n for n in full.config.papers["side4video"].numbers if n.where == "Table 9 (f)")
    names = [f"side4video/{row}@0" for row in printed.rows]
    of = tables["side4video-table9f"]
    assert of["variants"] == len(names) == of["trained"]
    needed = {("train", full.training_of[n]) for n in names} | {("evaluate", n) for n in names}
    assert of["gpu_hours"] == pytest.approx(sum(hours(*job) for job in needed))
    assert "side4video-table12" not in tables  # settings alone
    seconds = found["start_seconds"]
    jobs = sum(split[n].ranks for n in trained) + sum(split[n].ranks for n in tested)
    assert found["start_gpu_hours"] == pytest.approx(seconds * jobs / 3600)


def test_what_nobody_predicted_is_said_and_how_to(full, vidtune, monkeypatch):
    monkeypatch.chdir(REPO)
    given = ("plan", "--scale", "full", "--results", full.root.parent, "--profile", "slurm")
    code, out, err = vidtune(*given)
    assert code == 0, err
    assert "?" not in out and "jobs are submitted" in out and "workflow/profiles/slurm" in out
    lost = full.runs["side4video/b16-ssv1@0"]
    fits.kept_at(full, lost.workload()).unlink()
    code, text, _ = vidtune(*given)
    lines = {line.split()[0]: line.split()[-1] for line in text.splitlines() if line}
    assert code == 0 and lines["train"].endswith("+?") and lines["evaluate"].endswith("+?")
    assert lines["side4video-table9f"].endswith("+?")
    command = f"vidtune plan --scale full --results {full.root.parent} --gpus 8x80GiB"
    assert f"have no prediction; run `{command}`" in text
    code, out, _ = vidtune(*given, "--json")
    result = json.loads(out)
    assert code == 0 and result["unknown"] >= 2 and result["executor"] == "slurm"
    assert result["installed"] != (f"pip install {result['plugin']}" in text)


@pytest.mark.parametrize(
    "text, says",
    [
        (
            None,
            "no such profile; give a path or one of generic, kubernetes, slurm, slurm-multinode",
        ),
        ("cores: 4\n", "executor: expected the name of a cluster's, such as slurm; found None"),
        ("executor: slurm\ndefault-resources: 3\n", "default-resources: expected a mapping"),
        ("executor: slurm\ndefault-resources: {gpu_as: gpu}\n", "gpu_as: expected one of gpus"),
    ],
)
def test_a_profile_that_cannot_be_used(text, says, tmp_path, vidtune, monkeypatch):
    monkeypatch.chdir(REPO)
    if text:
        (tmp_path / "config.yaml").write_text(text)
    given = tmp_path if text else tmp_path / "nowhere"
    code, _, err = vidtune("plan", "--scale", "smoke", "--profile", given)
    assert code == 2 and says in one_line(err)


def test_the_documents_table_is_of_todays_matrix(slurm, tmp_path):
    """But for its hours, which take minutes to predict: the command beside it prints it anew."""
    text = (REPO / "docs/cluster.md").read_text().partition("## What it costs")[2]
    printed = {line.split()[0]: line.split() for line in text.splitlines() if line}
    found = bill.bill(plan_at(tmp_path, "full"), slurm)
    for row in found["rules"]:
        where = "beside" if row["beside"] else "submitted"
        assert printed[row["rule"]][1:3] == [str(row["jobs"]), where], row
    for row in found["tables"]:
        assert printed[row["table"]][1:3] == [str(row["variants"]), str(row["trained"])], row
    assert f"\n{found['submitted']} jobs are submitted, {found['beside']} run" in text
