"""A measured row is complete and consistent. No time is asserted."""

import json
import subprocess
import sys

import pytest
import torch
from helpers import fake_nvml
from helpers.common import REPO, one_line, plan_at
from helpers.zoo import FRAMES, TINY, model, shown

from vidtune.cost import measure, measured_phases
from vidtune.cost.clock import Clock, summary
from vidtune.cost.measured_phases import BenchJob, Inference, Training
from vidtune.nn.attention import attend
from vidtune.spec import GeneratedSet, UserError, load_json

SIDE = model("side4video", "recognition", {"layers": 3, "width": 24})
LORA = model("lora", "retrieval", {"lora_rank": 2}).model_copy(update={"max_words": 8})
DIST = model(
    "dist", "recognition", {"layers": [1, 3, 5], "width": 24, "temporal_width": 8}
)  # classifies by texts
GPU = {"uuid": "GPU-0", "name": "NVIDIA H200", "driver": "580.1", "busy": None}
MS = ("p50", "p90", "p95", "p99")


def job(plan, m=SIDE, **changes):
    recipes = {"recognition": "mini-recognition", "retrieval": "mini-retrieval"}
    recipe = plan.config.recipes[recipes[m.task]].model_copy(
        update={
            "batch": changes.pop("batch", 2),
            "group": None,
            "precision": changes.pop("precision", "fp32"),
        }
    )
    given = {"steps": 3, "warmup": 1, "device": "cpu", "phases": ("train", "inference")}
    return BenchJob(model=m, recipe=recipe, **(given | changes))


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Makes the loader's clips small and decodes them in this process."""
    small = {"clips": {"train": 3, "val": 0, "test": 0}, "side": 48, "seconds": (1.0, 1.5)}
    monkeypatch.setattr(
        measured_phases, "CLIPS", GeneratedSet(**(measured_phases.CLIPS.model_dump() | small))
    )
    monkeypatch.setattr("vidtune.cost.measured_phases.own_cores", lambda: 0)
    return tmp_path / "clips"


@pytest.mark.parametrize("m", [SIDE, LORA, DIST], ids=shown)
def test_a_row_is_whole_and_consistent(plan, clips, m):
    row = measure.measure(job(plan, m, phases=("train", "inference", "loader")), clips)
    json.dumps(row, allow_nan=False)
    assert row["status"] == "ok"
    under = row["conditions"]
    assert (under["batch"], under["frames"], under["precision"]) == (2, FRAMES, "fp32")
    assert under["compile"] is False and under["attention"] == "fused"
    assert under["backbone"] == "tiny" and under["weights"] == "random"
    assert under["device"].startswith("cpu, ") and "threads" in under["device"]
    assert under["date"] and under["torch"] == torch.__version__ and under["driver"] is None
    for name, parts in (("train", Training.parts), ("inference", Inference.parts)):
        phase = row[name]
        assert phase["videos"] == 6 and phase["status"] == "ok"
        ms = phase["ms"]
        assert 0 < ms["p50"] <= ms["p90"] <= ms["p95"] <= ms["p99"]
        assert sum(ms[part] for part in parts) == pytest.approx(ms["mean"])
        assert phase["videos_per_s"] > 0 and phase["end_to_end_videos_per_s"] > 0
        assert phase["peak_rss_gib"] > 0 and phase["peak_allocated_gib"] is None
        assert phase["joules_per_video"] is None and phase["nvml_gib"] is None
    assert row["loader"]["videos_per_s"] > 0 and row["loader"]["clips"]["side"] == 48
    assert row["provenance"]["spec"] and row["provenance"]["digest"]


def test_the_watching_process_is_part_of_the_row(plan, tmp_path, monkeypatch):
    processes = [{"pid": 10**9, "usedGpuMemory": 1}]
    energy = [1000, 4000]  # mJ: the same difference however often a short phase is polled
    fake_nvml.install(tmp_path, monkeypatch, {"processes": processes, "energy": energy})
    row = measure.measure(job(plan), tmp_path, GPU)
    train = row["train"]
    assert row["status"] == "ok" and row["conditions"]["driver"] == "580.1"
    assert train["joules_per_video"] == pytest.approx(3 / 6) and train["energy_from"] == "counter"
    assert train["nvml_gib"] is None and train["nvml_device_gib"] == 1.0  # NVML named another
    assert train["throttle_reasons"] == ["SwPowerCap"] and train["sm_mhz"]["max"] == 1980


def test_a_shared_gpu_is_marked(plan, tmp_path):
    row = measure.measure(job(plan), tmp_path, {"uuid": "GPU-0", "busy": "in use by process 7"})
    assert row["status"] == "busy" and row["train"]["status"] == "ok"
    assert row["conditions"]["gpu"]["busy"] == "in use by process 7"


def test_out_of_memory_is_a_row(plan, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr("vidtune.engine.step.Step.backward", full)
    row = measure.measure(job(plan, batch=4), tmp_path)
    assert row["status"] == "oom" and row["train"] == {"status": "oom", "batch": 4}
    assert row["inference"]["status"] == "ok"  # what fits is measured all the same


def test_another_error_is_no_row(plan, tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr("vidtune.engine.step.Step.backward", broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        measure.measure(job(plan), tmp_path)


def test_conditions_reach_the_model(plan, tmp_path, monkeypatch):
    seen = set()

    def spy(q, k, v, *args, **kwargs):
        seen.add(q.dtype)
        return attend(q, k, v, *args, **kwargs)

    fused = []
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr("vidtune.nn.clip.attend", spy)
    monkeypatch.setattr(
        "vidtune.nn.attention.F.scaled_dot_product_attention",
        lambda *a, **k: fused.append(1) or real(*a, **k),
    )
    asked = {"precision": "bf16", "attention": "explicit", "phases": ("inference",)}
    row = measure.measure(job(plan, **asked), tmp_path)
    assert seen == {torch.bfloat16} and not fused
    assert row["conditions"]["precision"] == "bf16" and "train" not in row
    measure.measure(job(plan, phases=("inference",)), tmp_path)
    assert fused and torch.float32 in seen


def test_compiled_and_not_compilable(plan, tmp_path, monkeypatch):
    """A stand-in replaces the compiler, which takes minutes."""
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda call, **_: compiled.append(call) or call)
    asked = job(plan, LORA, compile=True, phases=("inference",))
    row = measure.measure(asked, tmp_path)
    assert len(compiled) == 2 and row["conditions"]["compile"] is True  # forward and prepare

    class BackendCompilerFailed(RuntimeError):
        __module__ = "torch._dynamo.exc"

    def refused(*_):
        raise BackendCompilerFailed("no compiler\nand more lines")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: refused)
    with pytest.raises(UserError, match=r"--compile: no compiler; measure without it$"):
        measure.measure(asked, tmp_path)


def test_training_measures_the_engines_own_step(plan):
    """A measured step moves the tuned parameters, and no frozen one."""
    phase = Training(job(plan))
    before = {n: p.detach().clone() for n, p in phase.net.named_parameters()}
    phase.step(phase.video(), Clock(phase.device))
    moved = {n for n, p in phase.net.named_parameters() if not torch.equal(p, before[n])}
    tuned = {n for n, p in phase.net.named_parameters() if p.requires_grad}
    assert moved and moved <= tuned


def test_marks_become_laps():
    clock = Clock(torch.device("cpu"))
    clock.ticks = [0.0, 0.1, 0.3, 1.0, 1.4, 1.5]
    laps = clock.laps(2)
    assert [pytest.approx(lap) for lap in laps] == [[100, 200], [400, 100]]
    assert clock.span() == 1.5
    times = summary(laps, ("forward", "backward"))
    assert times["mean"] == pytest.approx(400) and times["forward"] == pytest.approx(250)
    assert times["p50"] == pytest.approx(400) and times["p99"] == pytest.approx(498)


def test_cuda_is_synchronised_once_and_only_when_read(monkeypatch):
    calls = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            calls.append("record")

        def elapsed_time(self, _):
            return 2.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: calls.append("synchronise"))
    clock = Clock(torch.device("cuda"))
    for _ in range(4):
        clock.tick()
    assert clock.laps(3) == [[2.0, 2.0, 2.0]]
    assert calls == ["record"] * 4 + ["synchronise"]


VARIANT = "side4video/b16-ssv2"
BAD = [
    ([], "name a variant"),
    ([VARIANT, "--spec", "x.json"], "name a variant"),
    (["side4video/b16-ssv3"], "did you mean"),
    (["--spec", "nowhere.json"], "nowhere.json"),
    ([VARIANT, "--device", "cpu", "--attention", "memory-efficient"], "memory-efficient"),
    ([VARIANT, "--device", "cuda"], "no GPU on this machine"),
]


@pytest.mark.parametrize("given, says", BAD)
def test_bad_input_is_one_line(vidtune, monkeypatch, given, says):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("vidtune.gpu.devices.boards", lambda: ())
    code, out, err = vidtune("bench", *given)
    assert code == 2 and not out and says in one_line(err)


@pytest.mark.parametrize("given", [["--batch", "0"], ["--frames", "x"], ["--precision", "fp8"]])
def test_bad_conditions_are_refused(vidtune, capsys, given):
    with pytest.raises(SystemExit) as stop:
        vidtune("bench", VARIANT, *given)
    assert stop.value.code == 2 and given[0] in capsys.readouterr().err


def test_a_busy_gpu_is_refused_before_torch_starts(vidtune, tmp_path, monkeypatch):
    processes = [{"pid": 4711, "usedGpuMemory": 1}]
    fake_nvml.install(tmp_path, monkeypatch, {"processes": processes})
    code, out, err = vidtune("bench", VARIANT)
    assert code == 2 and not out
    assert "4711" in one_line(err) and "--even-if-busy" in err


def test_a_run_of_the_scale_at_hand_is_measured_and_written(vidtune, tmp_path, clips):
    p = plan_at(tmp_path, "smoke")
    p.write_specs()
    spec = p.spec_of("runs", "tempme/tempme-b32@0")
    asked = ["--batch", "2", "--steps", "2", "--warmup", "1", "--device", "cpu", "--clips", clips]
    code, out, _ = vidtune("bench", "--spec", spec, "--out", tmp_path / "row.json", *asked)
    row = load_json(tmp_path / "row.json")
    assert code == 0 and row["conditions"]["backbone"] == "mini-smoke"
    assert "random weights" in out and "videos/s end to end" in out and "alone" in out
    assert row["conditions"]["frames"] == 6 and TINY.image == 32


def dry(tmp_path, *targets):
    """Returns what Snakemake prints of the rules that it would run."""
    given = ["-n", "--cores", "2", *targets]
    given += ["--config", "scale=smoke", f"results={tmp_path}", f"data={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *given], cwd=REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_rule_measures_on_demand_only(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")  # whatever this machine has
    assert "bench_variant" not in dry(tmp_path)
    assert "bench_variant" in dry(tmp_path, "bench")
    dry(tmp_path, f"{tmp_path}/smoke/bench/cpu/tempme/tempme-b32.json")
