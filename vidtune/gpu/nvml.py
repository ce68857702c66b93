"""NVML, asked so that a device which cannot answer a question gives None, not an error.

NVML comes from the package nvidia-ml-py, imported as pynvml.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MEMORY = 2.0  # GiB in use by no process that NVML names, as from another container
SHARE = 10  # % of the last moments with work on the GPU; a desktop takes a little


@contextmanager
def session() -> Iterator[Any]:
    """Yield pynvml, initialised until the block ends; None without an NVIDIA driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        yield None
        return
    try:
        yield pynvml
    finally:
        pynvml.nvmlShutdown()


def ask(lib: Any, question: str, *args: Any) -> Any:
    """The answer of one NVML function, or None where library or device does not have it."""
    try:
        return getattr(lib, question)(*args)
    except (lib.NVMLError, AttributeError):
        return None


def facts(uuid: str) -> dict[str, Any]:
    """What a GPU's (or MIG slice's) measurements depend on; without NVML its uuid alone."""
    with session() as lib:
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


def busy(uuid: str) -> str | None:
    """What keeps a GPU (or MIG instance) busy; None: it is idle, or NVML does not know it."""
    with session() as lib:
        handle = lib and ask(lib, "nvmlDeviceGetHandleByUUID", uuid)
        if handle is None:
            return None
        if processes := ask(lib, "nvmlDeviceGetComputeRunningProcesses", handle):
            return "in use by process " + ", ".join(str(p.pid) for p in processes)
        memory = ask(lib, "nvmlDeviceGetMemoryInfo", handle, lib.nvmlMemory_v2)
        if memory and memory.used > MEMORY * 2**30:
            return f"{memory.used / 2**30:.1f} GiB in use"
        rates = ask(lib, "nvmlDeviceGetUtilizationRates", handle)  # MIG does not know them
        return f"{rates.gpu} % busy" if rates and rates.gpu > SHARE else None


def reasons(lib: Any, bits: list[int]) -> list[str]:
    """Names of all reasons in any of the bit masks, as NVML has them: "SwPowerCap", "GpuIdle"."""
    prefix = "nvmlClocksEventReason"
    names = {getattr(lib, n): n.removeprefix(prefix) for n in dir(lib) if n.startswith(prefix)}
    seen = (bit for bit in sorted(names) if bit.bit_count() == 1 and any(bit & b for b in bits))
    return [names[bit] for bit in seen]
