"""A pynvml whose answers a test writes down: `module(**answers)` in-process, `install` on a path.

An answer is a value, a list (one a call, the last for ever), or None: not supported.
"""

import json
import sys
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
    "driver": "nvmlSystemGetDriverVersion",
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
    "driver": "580.1",
    "mig": (0, 0),
    "uuid": "GPU-0",
}


class NVMLError(Exception):
    pass


def module(**answers: Any) -> ModuleType:
    """`GPU`, but for `answers`."""
    lib: Any = ModuleType("pynvml")
    lib.NVMLError = NVMLError
    lib.NVML_CLOCK_SM, lib.NVML_CLOCK_MEM, lib.nvmlMemory_v2 = 1, 2, 2
    lib.nvmlClocksEventReasonGpuIdle, lib.nvmlClocksEventReasonSwPowerCap = 1, 4
    lib.nvmlClocksEventReasonAll = 5
    lib.nvmlInit = lib.nvmlShutdown = lambda: None
    lib.nvmlDeviceGetCount = lambda: 1
    lib.nvmlDeviceGetHandleByIndex = lib.nvmlDeviceGetHandleByUUID = lambda which: f"handle {which}"
    for key, value in (GPU | answers).items():
        setattr(lib, FUNCTIONS[key], _function(key, value))
    return lib


def _function(key: str, value: Any) -> Any:
    each = list(value) if isinstance(value, list) and key != "processes" else None

    def answer(*_: Any, **__: Any) -> Any:
        one = value if each is None else each.pop(0) if len(each) > 1 else each[0]
        if one is None:
            raise NVMLError("Not Supported")
        if key == "processes":
            return [SimpleNamespace(**p) for p in one]
        return SimpleNamespace(**one) if isinstance(one, dict) else one

    return answer


def install(folder: Path, monkeypatch: Any, **answers: Any) -> None:
    """Let this process and its children import it in place of the real one."""
    lines = [
        "import json, sys",
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})",
        "import fake_nvml",
        f"sys.modules[__name__] = fake_nvml.module(**json.loads({json.dumps(answers)!r}))",
    ]
    (folder / "pynvml.py").write_text("\n".join(lines) + "\n")
    repo = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{repo}")
    monkeypatch.setitem(sys.modules, "pynvml", module(**answers))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("VIDTUNE_GPU_SLOTS", str(folder / "slots"))
