"""A pynvml whose answers a test writes down: `module(**answers)` in-process, `install` on a path.

An answer is a value, a list (one a call, the last for ever), or None: not supported. A GPU is a dict
of answers; those that it leaves out are `GPU`'s. `instances` are the UUIDs of its MIG instances.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

FUNCTIONS = {
    "energy": "nvmlDeviceGetTotalEnergyConsumption",
    "power": "nvmlDeviceGetPowerUsage",
    "limit": "nvmlDeviceGetEnforcedPowerLimit",
    "utilisation": "nvmlDeviceGetUtilizationRates",
    "memory": "nvmlDeviceGetMemoryInfo",
    "processes": "nvmlDeviceGetComputeRunningProcesses",
    "clock": "nvmlDeviceGetClockInfo",
    "reasons": "nvmlDeviceGetCurrentClocksEventReasons",
    "name": "nvmlDeviceGetName",
    "mig": "nvmlDeviceGetMigMode",
    "uuid": "nvmlDeviceGetUUID",
}
GPU: dict[str, Any] = {
    "energy": [1000, 1500, 4000],  # mJ
    "power": 300_000,  # mW
    "limit": 700_000,
    "utilisation": {"gpu": 0},
    "memory": {"used": 1 << 30, "total": 80 << 30},
    "processes": [],
    "clock": 1980,
    "reasons": 4,
    "name": "NVIDIA H200",
    "mig": [0, 0],
    "uuid": "GPU-0",
    "instances": (),
}


class NVMLError(Exception):
    pass


def module(**answers: Any) -> ModuleType:
    """A module that knows one GPU and is initialised."""
    lib = _module(lambda: [answers])
    lib.nvmlInit()
    return lib


def _module(read: Callable[[], list[dict[str, Any]]]) -> ModuleType:
    """A module whose `nvmlInit` reads the GPUs of the machine."""
    lib: Any = ModuleType("pynvml")
    lib.NVMLError = NVMLError
    lib.NVML_CLOCK_SM, lib.NVML_CLOCK_MEM, lib.nvmlMemory_v2 = 1, 2, 2
    lib.nvmlClocksEventReasonGpuIdle, lib.nvmlClocksEventReasonSwPowerCap = 1, 4
    lib.nvmlClocksEventReasonAll = 5

    def init() -> None:
        lib.boards = [_copy(GPU | board) for board in read()]

    def shutdown() -> None:
        del lib.boards

    lib.nvmlInit, lib.nvmlShutdown = init, shutdown
    lib.nvmlSystemGetDriverVersion = lambda: "580.1"
    lib.nvmlDeviceGetCount = lambda: len(lib.boards)
    lib.nvmlDeviceGetHandleByIndex = lambda i: lib.boards[i]
    lib.nvmlDeviceGetHandleByUUID = lambda uuid: _first(b for b in lib.boards if b["uuid"] == uuid)
    lib.nvmlDeviceGetMaxMigDeviceCount = lambda board: 7
    lib.nvmlDeviceGetMigDeviceHandleByIndex = lambda board, i: {
        "uuid": _first(board["instances"][i : i + 1])
    }
    for key, name in FUNCTIONS.items():
        setattr(lib, name, lambda board, *_, key=key: _answer(board, key))
    return lib


def _copy(board: dict[str, Any]) -> dict[str, Any]:
    """One with sequences of its own, which `_answer` uses up."""
    return {k: list(v) if isinstance(v, list) else v for k, v in board.items()}


def _first(values: Any) -> Any:
    for value in values:
        return value
    raise NVMLError("Not Found")


def _answer(board: dict[str, Any], key: str) -> Any:
    value = board[key]
    if key == "processes" and value is not None:
        return [SimpleNamespace(**p) for p in value]
    if isinstance(value, list) and key != "mig":
        value = value.pop(0) if len(value) > 1 else value[0]
    if value is None:
        raise NVMLError("Not Supported")
    return SimpleNamespace(**value) if isinstance(value, dict) else value


def from_file(path: str) -> ModuleType:
    """A module whose GPUs a JSON file lists; its absence is a machine without a driver."""

    def read() -> list[dict[str, Any]]:
        try:
            return json.loads(Path(path).read_text())
        except OSError:
            raise NVMLError("Driver Not Loaded") from None

    return _module(read)


def install(folder: Path, monkeypatch: Any, *boards: dict[str, Any]) -> Callable[..., None]:
    """Let this process and its children import it in place of the real one; sets the GPUs anew.

    Without boards the machine has no driver until the returned function is called with some.
    """
    listed = folder / "gpus.json"
    code = [
        "import sys",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
        "import fake_nvml",
        f"sys.modules[__name__] = fake_nvml.from_file({str(listed)!r})",
    ]
    (folder / "pynvml.py").write_text("\n".join(code) + "\n")
    repo = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{repo}")
    monkeypatch.setitem(sys.modules, "pynvml", from_file(str(listed)))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("VIDTUNE_GPU_SLOTS", str(folder / "slots"))

    def put(*boards: dict[str, Any]) -> None:
        new = folder / "new.json"
        new.write_text(json.dumps(boards))
        new.rename(listed)  # a process that reads it never sees half of it

    if boards:
        put(*boards)
    return put
