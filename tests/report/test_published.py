"""The list of full-size measurements: every measured cell of the papers has its job."""

import multiprocessing
import os
import pickle
import signal
from functools import partial
from types import SimpleNamespace

import pytest
from helpers import fake_nvml
from helpers.common import REPO, one_line

from vidtune.report.numbers import conditions, device_costs
from vidtune.spec import UserError, load_json


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


def test_float16_weights_are_measured_as_such(plan, published):
    name = "side4video/b32-msrvtt"
    under = published.jobs_of(plan)[name]
    args = SimpleNamespace(batch=None, device="cpu", steps=1, warmup=1)
    recipe = published.job_of(plan, name, under, args).recipe
    assert (under.precision, recipe.weights, recipe.precision) == ("fp16", "fp16", "fp32")
    table3 = next(n for n in plan.config.papers["side4video"].numbers if n.where == "Table 3")
    assert conditions.required(plan, table3, name)["precision"] == "fp16"


def test_every_job_is_one(plan, published):
    """A recipe that mixes labels needs a group, whatever the batch."""
    args = SimpleNamespace(batch=2, device="cpu", steps=1, warmup=1)
    for name, under in published.jobs_of(plan).items():
        job = published.job_of(plan, name, under, args)
        assert job.recipe.batch == 2 and pickle.loads(pickle.dumps(job)) == job


def test_a_row_has_what_was_predicted(plan, published):
    name = "tempme/tempme-b32"
    args = SimpleNamespace(batch=2, device="cpu", steps=1, warmup=1)
    told = published.predicted(published.job_of(plan, name, published.jobs_of(plan)[name], args))
    assert 0 < told["inference"] < told["train"] < told["released"]  # ours keeps less


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


CPU = ["--device", "cpu", "--only", "tempme/tempme-b32", "--out"]


@pytest.fixture
def measured(published, monkeypatch, tmp_path):
    """A function that sets what measures a job, in forks of this process; jobs leave their names."""
    monkeypatch.setattr(published, "CONTEXT", multiprocessing.get_context("fork"))
    seen = tmp_path / "seen"
    seen.touch()

    def by(end):
        def measure(job, clips, gpu):
            with seen.open("a") as file:
                file.write(f"{job.model.name} {job.recipe.batch} {job.attention}\n")
            return end() or {"status": "ok", "conditions": {}}

        monkeypatch.setattr(published, "measure", measure)
        monkeypatch.setattr(published, "predicted", lambda job: {})
        return lambda: seen.read_text().splitlines()

    return by


def test_what_is_done_is_skipped(published, measured, tmp_path, capsys):
    seen = measured(lambda: None)
    assert published.main([*CPU, str(tmp_path), "--batch", "1"]) == 0
    assert published.main([*CPU, str(tmp_path)]) == 0
    assert "measured before" in capsys.readouterr().out
    assert seen() == ["tempme/tempme-b32 1 explicit"]
    assert (tmp_path / "cpu" / "tempme" / "tempme-b32.json").is_file()
    assert published.main([*CPU, str(tmp_path), "--again"]) == 0 and len(seen()) == 2


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def broken():
    raise RuntimeError("illegal address\nand more")


def in_use():
    raise UserError("GPU: in use")


@pytest.mark.parametrize("end, status, says", [
    (killed, "oom", "memory is full"),
    (partial(os._exit, 1), "failed", "the process ended"),
    (broken, "failed", "RuntimeError: illegal address"),
])  # fmt: skip
def test_a_crash_is_a_row_and_a_failed_one_is_tried_again(
    published, measured, tmp_path, end, status, says
):
    seen = measured(end)
    two = [*CPU[:-1], "tempme/lora-b32", "--out", str(tmp_path)]
    assert published.main(two) == 0  # the second job, too, has a process
    row = load_json(tmp_path / "cpu" / "tempme" / "tempme-b32.json")
    assert row["status"] == status and row["conditions"]["batch"] == 32
    assert says in row["error"] and "more" not in row["error"]
    assert published.main(two) == 0
    assert len(seen()) == (4 if status == "failed" else 2)


def test_bad_input_of_a_job_ends_the_sequence(published, measured, tmp_path, capsys):
    seen = measured(in_use)
    assert published.main([*CPU[:-1], "tempme/lora-b32", "--out", str(tmp_path)]) == 2
    assert "in use" in one_line(capsys.readouterr().err) and len(seen()) == 1


def test_on_a_gpu_the_whole_sequence_has_it_alone(published, measured, monkeypatch, tmp_path):
    fake_nvml.install(tmp_path, monkeypatch, {})

    def held():
        names = ("CUDA_VISIBLE_DEVICES", "VIDTUNE_GPU_LEASE")
        return {"status": "ok", "conditions": {}, "held": [os.environ[n] for n in names]}

    seen = measured(held)
    assert published.main(["--only", "tempme/tempme-*", "--out", str(tmp_path / "out")]) == 0
    rows = [load_json(p) for p in (tmp_path / "out" / "nvidia-h200" / "tempme").iterdir()]
    assert len(rows) == len(seen()) >= 2
    assert all(row["held"] == ["GPU-0", "alone"] for row in rows)


def test_a_busy_gpu_is_refused(published, monkeypatch, tmp_path, capsys):
    processes = [{"pid": 4711, "usedGpuMemory": 1}]
    fake_nvml.install(tmp_path, monkeypatch, {"processes": processes})
    assert published.main(["--out", str(tmp_path / "out")]) == 2
    assert "4711" in one_line(capsys.readouterr().err)
