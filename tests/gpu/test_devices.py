"""Which GPUs a process may use, what they are, and what keeps them busy; with a fake NVML."""

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import fake_nvml

from vidtune.gpu import devices, nvml
from vidtune.gpu.devices import Device, visible
from vidtune.gpu.nvml import busy

A, B = "GPU-aaaa1111", "GPU-bbbb2222"


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the GPUs of the machine."""
    return fake_nvml.install(tmp_path, monkeypatch)


def test_what_nvml_calls_busy(gpus):
    boards = {
        "idle": {},
        "process": {"processes": [{"pid": 12}, {"pid": 13}]},
        "memory": {"memory": {"used": 3.25 * 2**30}},
        "load": {"utilisation": {"gpu": 90}},
        "slice": {"utilisation": None},
    }
    gpus(*({"uuid": name, **board} for name, board in boards.items()))
    assert {name: busy(name) for name in [*boards, "unknown"]} == {
        "idle": None,
        "process": "in use by process 12, 13",
        "memory": "3.2 GiB in use",
        "load": "90 % busy",
        "slice": None,
        "unknown": None,
    }


M1, M2 = "MIG-cccc", "MIG-dddd"


@pytest.mark.parametrize(
    ("outer", "expected"),
    [
        (None, [(A, A), (M1, M1), (M2, M2), (B, B)]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("2", [("2", B)]),
        ("2, 0", [("2", B), ("0", A)]),
        ("0,-1,2", [("0", A)]),
        ("0,9,2", [("0", A)]),
        ("1", [("1", M1)]),
        ("GPU-bb", [("GPU-bb", B)]),
        ("2,GPU-bbbb", [("2", B)]),
        (f"{M2},{A}", [(M2, M2), (A, A)]),
        ("MIG-GPU-x/1/0", [("MIG-GPU-x/1/0", "MIG-GPU-x/1/0")]),
        ("GPU-none", []),
    ],
)
def test_an_outer_cuda_visible_devices_restricts(gpus, monkeypatch, outer, expected):
    mig = {"uuid": "GPU-mig", "mig": [1, 1], "instances": [M1, M2]}
    gpus({"uuid": A}, mig, {"uuid": B, "mig": None})
    if outer is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", outer)
    assert visible() == tuple(Device(*pair) for pair in expected)


def test_facts_and_the_folders_name(tmp_path, monkeypatch):
    fake_nvml.install(tmp_path, monkeypatch, {"mig": None})
    facts = nvml.facts("GPU-0")
    assert facts["name"] == "NVIDIA H200" and facts["driver"] == "580.1"
    assert facts["power_limit_w"] == 700 and facts["memory_gib"] == 80 and facts["mig"] is None
    assert devices.slug() == "nvidia-h200"


def test_without_a_driver_the_folder_is_the_cpus(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("vidtune.gpu.devices.boards", lambda: ())
    assert devices.slug() == "cpu"
