"""Measures what a model costs: time, memory and energy of a training step and of inference.

`videos_per_s` of a phase is the model alone, on random tensors that lie on the device; `loader` is
decoding alone; `end_to_end_videos_per_s` is both. `peak_allocated_gib` and `peak_reserved_gib` are
CUDA's allocator's; `nvml_gib` is NVML's figure for the process, which adds CUDA's own memory. A CPU
has no such allocator: `peak_rss_gib` is the peak of the process, interpreter included.
"""

import gc
import os
import platform
import re
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from vidtune import provenance
from vidtune.cost import measured_phases
from vidtune.cost.clock import Clock, summary, synchronise
from vidtune.cost.measured_phases import PHASES, BenchJob, MeasuredPhase, attention_of
from vidtune.engine.device import out_of_memory
from vidtune.gpu.watch import Watch
from vidtune.nn.attention import leave_deterministic
from vidtune.spec import UserError

GIB = 1 << 30


def measure(job: BenchJob, clips: Path, gpu: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return the row of a job. `gpu`: `vidtune.gpu.nvml.facts` of its device, and `busy`, a text
    or None.

    `status` is "oom" if a phase ran out of memory (the phase's own status says which), else "busy"
    if the device was shared, else "ok".
    """
    device = torch.device(job.device)
    with attention_of(job):
        phases = {name: _phase(job, name, clips, gpu) for name in PHASES if name in job.phases}
    if "loader" in job.phases:
        phases["loader"] = measured_phases.loader_row(job, clips)
    status = "busy" if gpu and gpu["busy"] else "ok"
    if any(phase.get("status") == "oom" for phase in phases.values()):
        status = "oom"
    name = device_name(device)
    stamp = provenance.stamp(provenance.bench_digest(job.model.method), name, job)
    return {
        "status": status,
        "conditions": conditions(job, name, gpu),
        **phases,
        "provenance": stamp,
    }


def conditions(job: BenchJob, device: str, gpu: dict[str, Any] | None) -> dict[str, Any]:
    """Return all conditions of a measurement, besides the model itself."""
    return {
        "variant": job.model.name,
        "backbone": job.model.backbone.name,
        "weights": "random",
        "batch": job.recipe.batch,
        "frames": job.model.frames,
        "precision": job.recipe.computes_in,
        "matmul": torch.get_float32_matmul_precision(),
        **job.model_dump(include={"compile", "attention", "steps", "warmup"}),
        "device": device,
        "driver": (gpu or {}).get("driver"),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": provenance.commit(),
    }


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or "cpu, <model>, <n> threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    name = re.search(r"^model name\s*: (.*)", _read_proc("cpuinfo"), re.MULTILINE)
    processor = name[1].strip() if name else platform.machine()
    return f"cpu, {processor}, {torch.get_num_threads()} threads"


def _read_proc(name: str) -> str:
    """Return a file of /proc, or "" where it cannot be read."""
    with suppress(OSError):
        return Path("/proc", name).read_text(encoding="utf-8")
    return ""


def _phase(job: BenchJob, name: str, clips: Path, gpu: dict[str, Any] | None) -> dict[str, Any]:
    """Measure one phase, or note that its batch did not fit, and free its memory."""
    try:
        return {"status": "ok", **_run(PHASES[name](job), clips, gpu)}
    except (RuntimeError, MemoryError) as e:
        if out_of_memory(e):
            return {"status": "oom", "batch": job.recipe.batch}
        if type(e).__module__.startswith(("torch._dynamo", "torch._inductor")):
            why = str(e).strip().splitlines()[0]
            raise UserError(f"{job.model.name}: --compile: {why}; measure without it") from None
        raise
    finally:
        leave_deterministic()
        gc.collect()
        if job.device == "cuda":
            torch.cuda.empty_cache()


def _run(phase: MeasuredPhase, clips: Path, gpu: dict[str, Any] | None) -> dict[str, Any]:
    """Run the warm-up and the measured steps of a phase and return its numbers."""
    job, clock = phase.job, Clock(phase.device)
    video = phase.video()
    for _ in range(phase.warmup):
        phase.step(video, Clock(phase.device))
    synchronise(phase.device)
    reset_peak(phase.device)
    watched = phase.watched and gpu and "name" in gpu
    with Watch(gpu["uuid"], os.getpid()) if watched else nullcontext() as watch:
        if watch:
            watch.begin()
        for _ in range(phase.steps):
            phase.step(video, clock)
        laps, seconds = clock.laps(len(phase.parts)), clock.span()
        watched = watch.end() if watch else {}
    videos = phase.steps * job.recipe.batch
    row = {
        "videos": videos,
        "videos_per_s": videos / seconds,
        "ms": summary(laps, phase.parts),
        **peak(phase.device),
        **_nvml(watched, videos),
    }
    if "loader" in job.phases:
        del video
        row["end_to_end_videos_per_s"] = measured_phases.end_to_end(phase, clips)
    return row


def _nvml(watched: dict[str, Any], videos: int) -> dict[str, Any]:
    """Return the columns read from NVML by the watching process; None where it could not read."""

    def gib(key: str) -> float | None:
        return None if watched.get(key) is None else watched[key] / GIB

    energy = watched.get("joules")
    kept = ("energy_from", "utilisation_percent", "sm_mhz", "memory_mhz", "throttle_reasons")
    return {
        "nvml_gib": gib("process_bytes"),
        "nvml_device_gib": gib("device_bytes"),
        "joules_per_video": None if energy is None else energy / videos,
        **{key: watched.get(key) for key in kept},
    }


def reset_peak(device: torch.device) -> None:
    """Forget the peak so far; if the system forbids it, the peak is since the process began."""
    if device.type == "cuda":
        return torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak(device: torch.device) -> dict[str, float | None]:
    """Return the peak memory since `reset_peak`, in GiB; None for what the device does not have."""
    allocated = reserved = resident = None
    if device.type == "cuda":
        allocated = torch.cuda.max_memory_allocated(device) / GIB
        reserved = torch.cuda.max_memory_reserved(device) / GIB
    elif kib := re.search(r"VmHWM:\s*(\d+)", _read_proc("self/status")):
        resident = int(kib[1]) / (1 << 20)
    return {
        "peak_allocated_gib": allocated,
        "peak_reserved_gib": reserved,
        "peak_rss_gib": resident,
    }
