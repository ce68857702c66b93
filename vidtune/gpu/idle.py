"""Is a GPU free of what takes no leases? By NVML."""

MEMORY = 2.0  # GiB in use by nobody that NVML names, as from another container
SHARE = 10  # % of the last moments with work on the GPU; a desktop takes a little


def busy(uuid: str) -> str | None:
    """What keeps a GPU (or MIG instance) busy; None where nothing does or nothing can be known."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    try:
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        if found := pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
            return "in use by process " + ", ".join(str(p.pid) for p in found)
        used = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2).used / 2**30
        if used > MEMORY:
            return f"{used:.1f} GiB in use"
        share = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu  # last: MIG does not know it
        return f"{share} % busy" if share > SHARE else None
    except pynvml.NVMLError:
        return None
    finally:
        pynvml.nvmlShutdown()
