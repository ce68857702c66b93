"""The list of full-size measurements: every measured cell of the papers has its job."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import fake_nvml
from helpers.common import REPO, one_line

from vidtune.report.numbers import conditions, device_costs
from vidtune.spec import load_json, write_json


@pytest.fixture
def published(monkeypatch):
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import published

    return published


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("vidtune.gpu.devices.boards", lambda: ())


def measured_cells(plan):
    """(table, its variant's full name, metric) of all printed cells that are to be measured."""
    for paper in plan.config.papers.values():
        for table in paper.numbers:
            for row, cells in table.rows.items():
                for metric in cells:
                    kind = plan.config.metrics[metric].kind if row in paper.variants else ""
                    if kind == "measured":
                        yield table, f"{paper.name}/{row}", metric


def test_every_measured_cell_has_its_job_or_a_reason(plan, published):
    jobs = published.jobs_of(plan)
    cells = list(measured_cells(plan))
    assert len(cells) > 20
    for table, variant, metric in cells:
        assert variant in jobs, f"{variant}: {table.where}: {metric} has no job"
        phase = device_costs.VALUES.get(metric, ("",))[0]
        reason = f"{variant.split('/')[1]}/{metric}" in table.reasons
        assert reason or phase in published.ONLY, f"{variant}: {metric}"


def test_float16_weights_are_measured_under_autocast(plan, published):
    """No recipe of ours has them: the cell is not comparable, and says under what it was measured."""
    name = "side4video/b32-msrvtt"
    assert plan.config.papers["side4video"].measured_under()["b32-msrvtt"].precision == "fp16"
    assert published.jobs_of(plan)[name].precision == "amp16"
    table3 = next(n for n in plan.config.papers["side4video"].numbers if n.where == "Table 3")
    assert conditions.required(plan, table3, name)["precision"] == "fp16"


def test_jobs_keep_to_what_a_table_states(plan, published):
    checked = 0
    for table, variant, _ in measured_cells(plan):
        job, stated = published.jobs_of(plan)[variant], table.under(variant.split("/")[1])
        if isinstance(stated.batch, int):
            assert stated.batch == job.batch, f"{variant}: {table.where}"
            checked += 1
        assert stated.precision in (None, job.precision), f"{variant}: {table.where}"
    assert checked


@pytest.mark.parametrize(
    "given, says",
    [
        ([], "no GPU here"),
        (["--device", "cpu"], "--only"),
        (["--device", "cpu", "--only", "tempme/nothing"], "is not known"),
    ],
)
def test_bad_input_is_one_line(published, no_gpu, capsys, given, says):
    assert published.main(given) == 2
    assert says in one_line(capsys.readouterr().err)


class Runs:
    """`subprocess.run` that writes a row, or fails with a given code."""

    def __init__(self, code=0, stderr=""):
        self.given, self.code, self.stderr = [], code, stderr

    def __call__(self, command, **_):
        if command[0] == "git":  # which commit this is
            return subprocess.CompletedProcess(command, 0, "0123abc", "")
        self.given.append(command)
        if self.code == 0:
            out = command[command.index("--out") + 1]

            write_json(Path(out), {"status": "ok", "conditions": {}})
        return subprocess.CompletedProcess(command, self.code, "", self.stderr)


CPU = ["--device", "cpu", "--only", "tempme/tempme-b32", "--out"]


def test_what_is_done_is_skipped(published, monkeypatch, tmp_path, capsys):
    runs = Runs()
    monkeypatch.setattr(published.subprocess, "run", runs)
    assert published.main([*CPU, str(tmp_path), "--batch", "1"]) == 0
    assert published.main([*CPU, str(tmp_path)]) == 0
    assert "measured before" in capsys.readouterr().out and len(runs.given) == 1
    assert (tmp_path / "cpu" / "tempme" / "tempme-b32.json").is_file()
    command = runs.given[0]
    assert command[:5] == [sys.executable, "-m", "vidtune", "bench", "tempme/tempme-b32"]
    assert command[command.index("--batch") + 1] == "1"
    assert command[command.index("--attention") + 1] == "explicit"
    assert published.main([*CPU, str(tmp_path), "--again"]) == 0 and len(runs.given) == 2


@pytest.mark.parametrize(
    "code, stderr, status",
    [(-9, "", "oom"), (1, "Traceback\nRuntimeError: illegal address\n", "failed")],
)
def test_a_crash_is_a_row_and_a_failed_one_is_tried_again(
    published, monkeypatch, tmp_path, code, stderr, status
):
    runs = Runs(code, stderr)
    monkeypatch.setattr(published.subprocess, "run", runs)
    assert published.main([*CPU, str(tmp_path)]) == 0
    row = load_json(tmp_path / "cpu" / "tempme" / "tempme-b32.json")
    assert row["status"] == status and row["conditions"]["batch"] == 32
    assert "illegal address" in row["error"] or status == "oom"
    assert published.main([*CPU, str(tmp_path)]) == 0
    assert len(runs.given) == (2 if status == "failed" else 1)


def test_bad_input_of_a_job_ends_the_sequence(published, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(published.subprocess, "run", Runs(2, "vidtune bench: GPU: in use\n"))
    assert published.main([*CPU, str(tmp_path)]) == 2
    assert "in use" in one_line(capsys.readouterr().err)


def test_on_a_gpu_the_whole_sequence_has_it_alone(published, monkeypatch, tmp_path, capsys):
    fake_nvml.install(tmp_path, monkeypatch, {})
    seen = []

    class Held(Runs):
        def __call__(self, command, **_):
            seen.append((os.environ["CUDA_VISIBLE_DEVICES"], os.environ["VIDTUNE_GPU_LEASE"]))
            return super().__call__(command)

    monkeypatch.setattr(published.subprocess, "run", Held())
    assert published.main(["--only", "tempme/tempme-*", "--out", str(tmp_path / "out")]) == 0
    assert seen == [("GPU-0", "alone")] * len(seen) and len(seen) >= 2
    assert (tmp_path / "out" / "nvidia-h200" / "tempme" / "tempme-b16.json").is_file()


def test_a_busy_gpu_is_refused(published, monkeypatch, tmp_path, capsys):
    processes = [{"pid": 4711, "usedGpuMemory": 1}]
    fake_nvml.install(tmp_path, monkeypatch, {"processes": processes})
    assert published.main(["--out", str(tmp_path / "out")]) == 2
    assert "4711" in one_line(capsys.readouterr().err)
