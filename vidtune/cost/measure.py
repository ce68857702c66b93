"""What a model costs by measuring: time, memory and energy of a training step and of inference.

`videos_per_s` of a phase is of the model alone, on random tensors that lie on the device;
`loader` is decoding alone; `end_to_end_videos_per_s` is both. Peaks are of the allocator (allocated,
reserved); NVML's figure for the process, which adds CUDA's own memory, stands apart. On a CPU there
is no allocator to ask: the process's own peak is given instead, interpreter included.
"""

import gc
import os
import platform
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vidtune import provenance
from vidtune.cost import measured_loader
from vidtune.cost.clock import Clock, summary, synchronise
from vidtune.cost.measured_phases import PHASES, BenchJob, Work, attention_of
from vidtune.engine import model as models
from vidtune.gpu.watch import Watch
from vidtune.spec import UserError

GIB = 1 << 30


def measure(job: BenchJob, clips: Path, gpu: dict[str, Any] | None = None) -> dict[str, Any]:
    """The row of a job. `gpu`: `vidtune.gpu.nvml.facts` of its device and what keeps it `busy`.

    `status` is "oom" where a phase ran out of memory (its own status says which), else "busy"
    where the device was shared, else "ok".
    """
    where = torch.device(job.device)
    with attention_of(job):
        phases = {name: _phase(job, name, clips, gpu) for name in PHASES if name in job.phases}
    if "loader" in job.phases:
        phases["loader"] = measured_loader.alone(job, clips)
    found = {phase.get("status") for phase in phases.values()}
    status = "busy" if gpu and gpu["busy"] else "ok"
    code = provenance.bench_digest(job.model.method)
    device = device_name(where)
    return {
        "status": "oom" if "oom" in found else status,
        "conditions": conditions(job, device, gpu),
        **phases,
        "provenance": provenance.stamp(code, device, job),
    }


def conditions(job: BenchJob, device: str, gpu: dict[str, Any] | None) -> dict[str, Any]:
    """All that a measurement depends on besides the model."""
    m = job.model
    return {
        "variant": m.name,
        "backbone": m.backbone.name,
        "weights": "random",
        "batch": job.recipe.batch,
        "frames": m.frames,
        "precision": job.recipe.precision,
        "matmul": torch.get_float32_matmul_precision(),
        "compile": job.compile,
        "attention": job.attention,
        "steps": job.steps,
        "warmup": job.warmup,
        "device": device,
        "driver": (gpu or {}).get("driver"),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": provenance.commit(),
    }


def device_name(where: torch.device) -> str:
    """The GPU's name, or "cpu, <model>, <n> threads"."""
    if where.type == "cuda":
        return models.device_name(where)
    return f"cpu, {_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _phase(job: BenchJob, name: str, clips: Path, gpu: dict[str, Any] | None) -> dict[str, Any]:
    """One phase's numbers, or that its batch did not fit; memory is free again afterwards."""
    try:
        return {"status": "ok", **_measured(PHASES[name](job), clips, gpu)}
    except (RuntimeError, MemoryError) as e:
        if models.out_of_memory(e):
            return {"status": "oom", "batch": job.recipe.batch}
        if type(e).__module__.startswith(("torch._dynamo", "torch._inductor")):
            why = str(e).strip().splitlines()[0]
            raise UserError(f"{job.model.name}: --compile: {why}; measure without it") from None
        raise
    finally:
        gc.collect()
        if job.device == "cuda":
            torch.cuda.empty_cache()


def _measured(work: Work, clips: Path, gpu: dict[str, Any] | None) -> dict[str, Any]:
    job, clock = work.job, Clock(work.where)
    video = work.video()
    for _ in range(job.warmup):
        work.step(video, Clock(work.where))
    synchronise(work.where)
    reset_peak(work.where)
    with Watch(gpu["uuid"], os.getpid()) if gpu and "name" in gpu else nullcontext() as watch:
        if watch:
            watch.begin()
        for _ in range(job.steps):
            work.step(video, clock)
        laps, seconds = clock.laps(len(work.parts)), clock.span()
        seen = watch.end() if watch else None
    done = job.steps * job.recipe.batch
    found: dict[str, Any] = {
        "videos": done,
        "videos_per_s": done / seconds,
        "ms": summary(laps, work.parts),
        **peak(work.where),
        **_told(seen, done),
    }
    if "loader" in job.phases:
        del video
        found["end_to_end_videos_per_s"] = measured_loader.fed(work, clips)
    return found


def _told(seen: dict[str, Any] | None, videos: int) -> dict[str, Any]:
    """What the other process saw; None where nobody could look."""
    seen = seen or {}

    def gib(key: str) -> float | None:
        return None if seen.get(key) is None else seen[key] / GIB

    energy = seen.get("joules")
    return {
        "nvml_gib": gib("process_bytes"),
        "nvml_device_gib": gib("device_bytes"),
        "joules_per_video": None if energy is None else energy / videos,
        **{k: seen.get(k) for k in ("energy_from", "utilisation_percent", "sm_mhz", "memory_mhz")},
        "throttle_reasons": seen.get("throttle_reasons"),
    }


def reset_peak(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
        return
    with suppress(OSError):  # where it cannot be reset, the peak is since the process began
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak(where: torch.device) -> dict[str, float | None]:
    """GiB."""
    found: dict[str, float | None] = dict.fromkeys(
        ("peak_allocated_gib", "peak_reserved_gib", "peak_rss_gib")
    )
    if where.type == "cuda":
        found["peak_allocated_gib"] = torch.cuda.max_memory_allocated(where) / GIB
        found["peak_reserved_gib"] = torch.cuda.max_memory_reserved(where) / GIB
        return found
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return found
    kib = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return {**found, "peak_rss_gib": int(kib) / (1 << 20)}
