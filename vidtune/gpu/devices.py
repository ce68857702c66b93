"""Which GPUs this process may use, named so that other processes name them alike. No torch."""

import os
import re
from itertools import takewhile
from typing import Any, NamedTuple

from vidtune.gpu import nvml

NAME = re.compile(r"\d+$|GPU-|MIG-")  # of a device in CUDA_VISIBLE_DEVICES


class Device(NamedTuple):
    token: str  # what CUDA_VISIBLE_DEVICES takes
    uuid: str  # what all processes call it: "GPU-...", "MIG-..."; without NVML, the token


NO_PERMISSION = 4  # of NVML's errors
Board = tuple[str, ...]
"""One GPU: its UUID, then those of its MIG instances, which jobs use in place of the whole; nothing where
it cannot be used."""


def boards() -> tuple[Board, ...]:
    """This machine's GPUs in NVML's order (by PCI bus); none without a driver. Raises `UserError` where
    all are lost."""
    with nvml.session() as lib:
        if lib is None:
            return ()
        found = tuple(_board(lib, i) for i in range(nvml.ask(lib, "nvmlDeviceGetCount") or 0))
        if found and not any(found):
            _refuse_lost(lib, len(found))
        return found


def _board(lib: Any, index: int) -> Board:
    """One GPU; () where it is lost, or not for this process: NVML counts it all the same."""
    handle = nvml.ask(lib, "nvmlDeviceGetHandleByIndex", index)
    uuid = None if handle is None else nvml.ask(lib, "nvmlDeviceGetUUID", handle)
    return () if uuid is None else (uuid, *_instances(lib, handle))


def _refuse_lost(lib: Any, count: int) -> None:
    """Raise `UserError` where no GPU answers, unless they are just not for this process."""
    try:
        lib.nvmlDeviceGetUUID(lib.nvmlDeviceGetHandleByIndex(0))
    except lib.NVMLError as e:
        if getattr(e, "value", None) == NO_PERMISSION:
            return
        from vidtune.spec import UserError  # imported late: it costs ten times this module

        raise UserError(
            f"none of {count} GPUs answers ({e}); reset them, or set CUDA_VISIBLE_DEVICES= to use none"
        ) from None


def _instances(lib: Any, board: Any) -> tuple[str, ...]:
    mode = nvml.ask(lib, "nvmlDeviceGetMigMode", board)  # None: a GPU without MIG
    if not (mode and mode[0]):
        return ()
    count = nvml.ask(lib, "nvmlDeviceGetMaxMigDeviceCount", board) or 0
    handles = (nvml.ask(lib, "nvmlDeviceGetMigDeviceHandleByIndex", board, i) for i in range(count))
    uuids = (
        nvml.ask(lib, "nvmlDeviceGetUUID", h) for h in handles if h is not None
    )  # an empty place
    return tuple(uuid for uuid in uuids if uuid is not None)


def visible() -> tuple[Device, ...]:
    """Return the GPUs, or MIG instances, of this process; () if CUDA_VISIBLE_DEVICES leaves none.

    Without an outer one they are named by UUID: CUDA's own order need not be NVML's.
    """
    outer = os.environ.get("CUDA_VISIBLE_DEVICES")
    if outer is None:
        return tuple(Device(uuid, uuid) for board in boards() for uuid in board[1:] or board)
    tokens = [*takewhile(NAME.match, outer.replace(" ", "").split(","))]
    known = boards() if tokens else ()
    selected: dict[str, Device] = {}
    for token in tokens:
        if (uuid := _uuid(token, known)) is None:  # CUDA's list ends at what is no device
            break
        selected.setdefault(uuid, Device(token, uuid))
    return tuple(selected.values())


def slug() -> str:
    """The GPU that a job would use, as a folder's name: "nvidia-h200"; "cpu" without one."""
    devices = visible()
    if not devices:
        return "cpu"
    name = nvml.facts(devices[0].uuid).get("name") or "gpu"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _uuid(token: str, known: tuple[Board, ...]) -> str | None:
    """An index counts NVML's GPUs, as with CUDA_DEVICE_ORDER=PCI_BUS_ID; a UUID may be cut short."""
    if not known:
        return token
    if token.isdecimal():
        index = int(token)
        usable = known[index][1:] or known[index] if index < len(known) else ()
        return usable[0] if usable else None
    if token.startswith("MIG-GPU-"):  # the old form, <GPU>/<instance>/<compute instance>
        return token
    uuids = [uuid for board in known for uuid in board]
    matching = [uuid for uuid in uuids if uuid.startswith(token)]
    return matching[0] if len(matching) == 1 else None
