"""NVML, asked so that a device which cannot answer a question gives None, not an error."""

import re
from types import ModuleType
from typing import Any

from vidtune.gpu.devices import visible


def library() -> ModuleType | None:
    """pynvml, initialised; None without an NVIDIA driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def ask(lib: Any, question: str, *args: Any) -> Any:
    """The answer of one NVML function, or None where library or device does not have it."""
    try:
        return getattr(lib, question)(*args)
    except (lib.NVMLError, AttributeError):
        return None


def facts(uuid: str) -> dict[str, Any]:
    """What a GPU's (or MIG slice's) measurements depend on; without NVML its uuid alone."""
    lib = library()
    if lib is None:
        return {"uuid": uuid}
    handle = ask(lib, "nvmlDeviceGetHandleByUUID", uuid)
    limit = ask(lib, "nvmlDeviceGetEnforcedPowerLimit", handle)
    mig = ask(lib, "nvmlDeviceGetMigMode", handle)
    memory = ask(lib, "nvmlDeviceGetMemoryInfo", handle)
    return {
        "uuid": uuid,
        "name": ask(lib, "nvmlDeviceGetName", handle),
        "driver": ask(lib, "nvmlSystemGetDriverVersion"),
        "memory_gib": None if memory is None else memory.total / 2**30,
        "power_limit_w": None if limit is None else limit / 1e3,
        "mig": None if mig is None else bool(mig[0]),
    }


def reasons(lib: Any, bits: list[int]) -> list[str]:
    """Names of all reasons in any of the bit masks, as NVML has them: "SwPowerCap", "GpuIdle"."""
    prefix = "nvmlClocksEventReason"
    names = {getattr(lib, n): n.removeprefix(prefix) for n in dir(lib) if n.startswith(prefix)}
    every = 0
    for one in bits:
        every |= one
    return [name for bit, name in sorted(names.items()) if bit.bit_count() == 1 and every & bit]


def slug() -> str:
    """The GPU that a job here would use, as a folder's name: "nvidia-h200"; "cpu" without one."""
    devices = visible()
    if not devices:
        return "cpu"
    name = facts(devices[0].uuid).get("name") or "gpu"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
