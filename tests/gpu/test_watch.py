"""Samples of a GPU, polled from another process: with a fake NVML, no GPU needed."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import fake_nvml

from vidtune.gpu import watch
from vidtune.gpu.watch import Watch, joules, sample


def samples_of(lib, pid=7, times=3):
    return [sample(lib, lib.nvmlDeviceGetHandleByIndex(0), pid) for _ in range(times)]


def test_energy_is_the_counters_difference_where_there_is_one():
    assert joules(samples_of(fake_nvml.module(energy=[1000, 1500, 4000]))) == (3.0, "counter")


@pytest.mark.parametrize("energy", [None, [4000, 5000, 10], [None, 5, 6]])
def test_energy_is_integrated_power_where_the_counter_is_absent_or_wraps(energy):
    samples = samples_of(fake_nvml.module(energy=energy, power=[100_000, 300_000, 200_000]))
    at = [s.at for s in samples]
    expected = (at[1] - at[0]) * 200 + (at[2] - at[1]) * 250
    assert joules(samples) == (pytest.approx(expected), "integrated power")


def test_energy_is_unknown_without_counter_and_power():
    assert joules(samples_of(fake_nvml.module(energy=None, power=None))) == (None, None)


def test_summary_takes_peaks_ranges_and_every_reason():
    used = [{"used": n, "total": 9} for n in (5, 8, 6)]
    lib = fake_nvml.module(
        memory=used,
        utilisation=[{"gpu": n} for n in (90, 100, 80)],
        reasons=[0, 1, 4],
        processes=[{"pid": 6, "usedGpuMemory": 1}, {"pid": 7, "usedGpuMemory": 4}],
    )
    summary = watch.summary(lib, samples_of(lib))
    assert summary["samples"] == 3
    assert summary["device_bytes"] == 8 and summary["process_bytes"] == 4
    assert summary["utilisation_percent"] == {"min": 80, "mean": 90, "max": 100}
    assert summary["throttle_reasons"] == ["GpuIdle", "SwPowerCap"]


def test_what_a_device_does_not_answer_is_none():
    lib = fake_nvml.module(**dict.fromkeys(("energy", "power", "utilisation", "memory", "clock")))
    del lib.nvmlDeviceGetCurrentClocksEventReasons  # as in older libraries
    summary = watch.summary(lib, samples_of(lib))
    assert summary["joules"] is summary["utilisation_percent"] is summary["sm_mhz"] is None
    assert (
        summary["process_bytes"] is summary["device_bytes"] is summary["throttle_reasons"] is None
    )


def test_another_process_polls_between_begin_and_end(tmp_path, monkeypatch):
    processes = [{"pid": os.getpid(), "usedGpuMemory": 3 << 30}]
    fake_nvml.install(tmp_path, monkeypatch, {"processes": processes})
    with Watch("GPU-0", os.getpid()) as polled:
        polled.begin()
        summary = polled.end()
        polled.begin()
        again = polled.end()
    assert summary["samples"] >= 2 and summary["process_bytes"] == 3 << 30
    assert summary["energy_from"] == "counter" and summary["joules"] > 0
    assert again["joules"] == 0  # the fake counter stands still by now: nothing is carried over
    assert polled.process.returncode == 0


def test_the_polling_process_ends_with_its_parent(tmp_path, monkeypatch):
    fake_nvml.install(tmp_path, monkeypatch, {})
    code = (
        "import os; from vidtune.gpu.watch import Watch; w = Watch('GPU-0', 1).__enter__();"
        "w.begin(); print(w.process.pid, flush=True); os._exit(9)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 9
    state = Path(f"/proc/{int(done.stdout)}/stat")
    until = time.monotonic() + 30
    while state.exists() and " Z " not in state.read_text():
        assert time.monotonic() < until
        time.sleep(0.01)
