"""The workflow in another one, as config/README.md says, and what the workflow catalogue reads."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers.common import REPO, one_line

import vidtune
from vidtune.events import describe_failure
from vidtune.plan import load
from vidtune.plan.config import Settings
from vidtune.spec import load_json
from vidtune.workflow import code_digest, job_environment, start

README = (REPO / "config/README.md").read_text()


@pytest.fixture(scope="module")
def other(tmp_path_factory) -> Path:
    """Another workflow's folder, with the Snakefile that the README shows and a rule of its own."""
    place = tmp_path_factory.mktemp("other")
    (place / "workflow").mkdir()
    shutil.copytree(REPO / "config", place / "config")
    (shown,) = re.findall(r"```\n(configfile: .*?)```", README, re.S)
    command = "python -c 'import vidtune; print(vidtune.__file__)' > {output}"
    own = f'rule own:\n    output: "own.txt"\n    shell: "{command}"\n'
    snakefile = shown.replace("/path/to/vidtune", str(REPO)) + f"\n\n{own}"
    (place / "workflow/Snakefile").write_text(snakefile)
    return place


def snakemake(place: Path, *args: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIDTUNE_STAGE")}
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "scale=smoke", *args]
    return subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=300)


def test_a_module_plans_every_job(other):
    done = snakemake(other, "results=mine", "-n", "--quiet", "reason")
    out = done.stdout + done.stderr
    assert done.returncode == 0, out[-4000:]
    planned = set(re.findall(r"\n(?:(?:local)?rule |Job \d+: )(\w+):", out))
    assert {"generate", "pretrain", "learn", "cost", "memory", "collect", "report"} <= planned
    assert (other / "mine/smoke/specs/costs/side4video.json").exists()


def test_a_module_makes_a_file_with_the_package_beside_its_snakefile(other):
    target = "data/motion-smoke/manifest.json"
    done = snakemake(other, "stage=$TMPDIR", "--", target, "own.txt")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert load_json(other / target)["classes"]
    assert (other / "own.txt").read_text().strip() == str(REPO / "vidtune/__init__.py")
    assert not (other / "vidtune").exists() and "Traceback" not in done.stderr


def test_the_digest_of_the_code_is_of_files_and_not_of_their_place(tmp_path):
    for name in ("one", "two"):
        package = tmp_path / name / "vidtune"
        (package / "nn").mkdir(parents=True)
        (package / "nn/a.py").write_text("a = 1\n")
        (package / "page.css").write_text("p {}\n")
    one, two = (tmp_path / name / "vidtune" for name in ("one", "two"))
    (two / "nn/a.pyc").write_bytes(b"0")
    (two / "nn/.a.py.swp").write_bytes(b"0")
    assert code_digest(one) == code_digest(two) != code_digest()
    (two / "page.css").write_text("p { }\n")
    assert code_digest(one) != code_digest(two)
    before = code_digest(one)
    (one / "nn/a.py").rename(one / "nn/b.py")
    assert code_digest(one) != before


def test_every_key_of_the_configuration_is_explained():
    rows = re.findall(r"^\| `(\w+)` \| `(.*?)` \| (.+) \|$", README, re.M)
    shipped = yaml.safe_load((REPO / "config/config.yaml").read_text())
    assert [key for key, _, _ in rows] == list(Settings.model_fields) == list(shipped)
    assert {key: yaml.safe_load(value) for key, value, _ in rows} == shipped
    files = {name.rstrip("/") for name in re.findall(r"^\| `([\w./]+)` \|", README, re.M)}
    assert {p.name for p in (REPO / "config").iterdir()} - {"README.md", "config.yaml"} <= files


def test_the_catalogue_finds_what_it_asks_for():
    shown = yaml.safe_load((REPO / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert shown.keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    assert shown["mandatory-flags"].keys() == {"desc", "flags"}
    deployed = {"conda", "apptainer", "apptainer+conda"}
    assert shown["software-stack-deployment"].keys() == deployed
    assert (REPO / "workflow/Snakefile").exists()
    words = (REPO / "README.md").read_text().lower()
    assert "snakemake" in words and "workflow" in words


def test_the_citation_is_of_this_version():
    assert yaml.safe_load((REPO / "CITATION.cff").read_text())["version"] == vidtune.__version__


def test_jobs_get_the_interpreter_the_package_and_the_stage_of_the_configuration():
    assert "VIDTUNE_STAGE" not in job_environment(load(REPO / "config"))
    plan = load(REPO / "config", {"stage": "${TMPDIR}/a b"})
    begins = job_environment(plan).replace("{{", "{").replace("}}", "}")
    script = f'set -u; {begins} printf "%s\\n" "$PYTHONPATH" "$VIDTUNE_STAGE"; command -v python'
    done = subprocess.run(["bash", "-c", script], env={}, capture_output=True, text=True)
    place, stage, python = done.stdout.splitlines()
    assert (place, stage) == (str(REPO), "${TMPDIR}/a b"), done.stderr
    assert Path(python).parent == Path(sys.executable).parent


def test_a_job_of_slurm_may_queue_itself_again(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "47")
    plan = load(REPO / "config")
    assert "VIDTUNE_REQUEUE=1" in job_environment(plan, submitted=True)
    assert "VIDTUNE_REQUEUE" not in job_environment(plan)  # Snakemake itself, in an allocation
    monkeypatch.delenv("SLURM_JOB_ID")
    assert "VIDTUNE_REQUEUE" not in job_environment(plan, submitted=True)


def test_results_that_cannot_be_written_are_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(REPO)
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        start({"results": str(tmp_path / "file"), "scale": "smoke"}, announce=False, defaults={})
    said = one_line(capsys.readouterr().err)
    assert ended.value.code == 2
    assert said.startswith(
        f"vidtune: config.yaml: results: {tmp_path / 'file'} cannot be written on "
    )


SAYS = "the environment is not whole on that node: put it where all see it (docs/cluster.md)"


@pytest.mark.parametrize(
    "own, scheduler, said",
    [
        ("/usr/bin/bash: line 1: exec: python: not found\n", "", SAYS),
        ("/opt/python3: No module named vidtune\n", "", SAYS),
        ("Traceback:\nModuleNotFoundError: No module named 'pydantic'\n", "", SAYS),
        (None, "begins\nslurm_script: line 4: /x/bin/python: No such file or directory\nends\n", SAYS),
        (None, "Building\nvidtune: config.yaml: results: /x is on n7; make\nExiting\n", "on n7; make"),
        (None, "bash: results/smoke/a.log: Read-only file system\nTrying\n", "Read-only file system"),
        (None, "nothing\n", "its log is empty"),
    ],
)  # fmt: skip
def test_a_node_that_cannot_run_a_job_says_why(own, scheduler, said, tmp_path):
    logs = [tmp_path / "rule.log", tmp_path / "slurm.log"]
    for log, text in zip(logs, (own, scheduler), strict=True):
        if text is not None:
            log.write_text(text)
    line = describe_failure({"rule_name": "train", "log": [*map(str, logs)], "output": ["x"]})
    assert line.startswith("vidtune: train of x failed (here): ") and line.endswith(said)
