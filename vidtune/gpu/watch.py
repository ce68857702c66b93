"""What a GPU does while a job runs on it, polled from another process so as not to hold it up.

`Watch` starts `python -m vidtune.gpu.watch`, which samples until its parent says "end" or has
ended. What a driver does not answer is None: a virtual GPU has no energy counter, a MIG slice no
utilisation, and in a container NVML may know processes by other numbers than ours.
"""

import itertools
import json
import select
import subprocess
import sys
import time
from types import SimpleNamespace as Sample
from typing import Any

from vidtune.gpu import nvml
from vidtune.gpu.nvml import ask
from vidtune.spec import UserError

EVERY = 0.02  # seconds between two samples
PATIENCE = 60.0  # seconds to wait for an answer of the polling process


def sample(lib: Any, handle: Any, pid: int) -> Sample:
    """Ask NVML once for everything. `pid` is the watched process."""
    rates = ask(lib, "nvmlDeviceGetUtilizationRates", handle)
    memory = ask(lib, "nvmlDeviceGetMemoryInfo", handle)
    reasons = ask(lib, "nvmlDeviceGetCurrentClocksEventReasons", handle)
    if reasons is None:  # its name in older drivers
        reasons = ask(lib, "nvmlDeviceGetCurrentClocksThrottleReasons", handle)
    running = ask(lib, "nvmlDeviceGetComputeRunningProcesses", handle) or []
    own = [p for p in running if p.pid == pid]
    return Sample(
        at=time.monotonic(),  # seconds
        energy=ask(lib, "nvmlDeviceGetTotalEnergyConsumption", handle),  # mJ since the driver began
        power=ask(lib, "nvmlDeviceGetPowerUsage", handle),  # mW
        memory=own[0].usedGpuMemory if own else None,  # bytes of the watched process
        device_memory=None if memory is None else memory.used,  # bytes in use, by whomever
        utilisation=None if rates is None else rates.gpu,  # percent
        sm_clock=ask(lib, "nvmlDeviceGetClockInfo", handle, lib.NVML_CLOCK_SM),  # MHz
        memory_clock=ask(lib, "nvmlDeviceGetClockInfo", handle, lib.NVML_CLOCK_MEM),
        reasons=reasons,  # bits: why the clocks are not higher
    )


def joules(samples: list[Sample]) -> tuple[float | None, str | None]:
    """(energy from the first sample to the last in joules, its origin).

    The origin is the device's counter, unless it is absent or ran backwards (it starts anew with
    the driver); then power integrated over time by trapezes.
    """
    counts = [s.energy for s in samples]
    if None not in counts and all(b >= a for a, b in itertools.pairwise(counts)):
        return (counts[-1] - counts[0]) / 1e3, "counter"
    known = [(s.at, s.power / 1e3) for s in samples if s.power is not None]
    if len(known) < 2:
        return None, None
    pairs = itertools.pairwise(known)
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairs), "integrated power"


def summary(lib: Any, samples: list[Sample]) -> dict[str, Any]:
    """Peaks of memory, ranges of rates and clocks, and all throttle reasons of the samples."""

    def values(name: str) -> list[int]:
        return [v for v in (getattr(s, name) for s in samples) if v is not None]

    def span(name: str) -> dict[str, float] | None:
        v = values(name)
        return {"min": min(v), "mean": sum(v) / len(v), "max": max(v)} if v else None

    energy, source = joules(samples)
    bits = values("reasons")
    return {
        "samples": len(samples),
        "seconds": samples[-1].at - samples[0].at,
        "joules": energy,
        "energy_from": source,
        "process_bytes": max(values("memory"), default=None),
        "device_bytes": max(values("device_memory"), default=None),
        "utilisation_percent": span("utilisation"),
        "sm_mhz": span("sm_clock"),
        "memory_mhz": span("memory_clock"),
        "throttle_reasons": nvml.reasons(lib, bits) if bits else None,
    }


class Watch:
    """`with Watch(uuid, pid) as watch: watch.begin(); work; summary = watch.end()`."""

    def __init__(self, uuid: str, pid: int) -> None:
        self.command = [sys.executable, "-m", "vidtune.gpu.watch", uuid, str(pid)]

    def __enter__(self) -> "Watch":
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._read_answer()  # the poller is up: its start costs the measured time nothing
        return self

    def begin(self) -> None:
        self._send("begin")

    def end(self) -> dict[str, Any]:
        """The `summary` of the samples since `begin`."""
        return self._send("end")

    def _send(self, word: str) -> dict[str, Any]:
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._read_answer()

    def _read_answer(self) -> dict[str, Any]:
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        line = self.process.stdout.readline() if ready else ""
        if not line:
            raise UserError("NVML: the process that polls it gave no answer; see its message above")
        return json.loads(line)

    def __exit__(self, *error: Any) -> None:
        self.process.__exit__(*error)


def poll(lib: Any, handle: Any, pid: int) -> None:
    """Obey "begin" and "end" on stdin, answer each with a line of JSON; end with the input."""
    samples: list[Sample] = []
    running = False
    print("{}", flush=True)
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], EVERY if running else None)
        word = sys.stdin.readline().strip() if ready else None
        if word == "":
            return
        if word == "begin":
            samples, running = [], True
        samples.append(sample(lib, handle, pid))
        if word == "end":
            running = False
        if word:
            print(json.dumps({} if running else summary(lib, samples)), flush=True)


if __name__ == "__main__":
    with nvml.session() as library:
        if library is None:
            sys.exit("vidtune.gpu.watch: no NVIDIA driver")
        poll(library, library.nvmlDeviceGetHandleByUUID(sys.argv[1]), int(sys.argv[2]))
