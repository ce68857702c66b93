"""Which GPUs this process may use, named so that other processes name them alike. No torch."""

import os
from collections.abc import Sequence
from typing import NamedTuple


class Device(NamedTuple):
    token: str  # what CUDA_VISIBLE_DEVICES takes
    uuid: str  # what all processes call it: "GPU-...", "MIG-..."; without NVML, the token


class Board(NamedTuple):
    """One GPU as NVML lists it."""

    uuid: str
    parts: tuple[str, ...] = ()  # UUIDs of its MIG instances


def boards() -> tuple[Board, ...]:
    """This machine's GPUs in NVML's order (by PCI bus); none without driver."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        handles = map(pynvml.nvmlDeviceGetHandleByIndex, range(pynvml.nvmlDeviceGetCount()))
        return tuple(Board(pynvml.nvmlDeviceGetUUID(h), _parts(h)) for h in handles)
    finally:
        pynvml.nvmlShutdown()


def _parts(handle: object) -> tuple[str, ...]:
    import pynvml

    try:
        if not pynvml.nvmlDeviceGetMigMode(handle)[0]:
            return ()
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:  # a GPU that knows no MIG
        return ()
    found = []
    for i in range(count):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, i)
        except pynvml.NVMLError:  # places of a GPU need not all be filled
            continue
        found.append(pynvml.nvmlDeviceGetUUID(part))
    return tuple(found)


def visible() -> tuple[Device, ...]:
    """The GPUs, or MIG instances, that an outer CUDA_VISIBLE_DEVICES leaves; none: ().

    Without one they are named by UUID: CUDA's own order need not be NVML's.
    """
    outer = os.environ.get("CUDA_VISIBLE_DEVICES")
    if outer is None:
        return tuple(Device(u, u) for board in boards() for u in board.parts or (board.uuid,))
    tokens = outer.replace(" ", "").split(",")
    return _of(tokens, boards()) if _names(tokens[0]) else ()


def _names(token: str) -> bool:
    return token.isdecimal() or token.startswith(("GPU-", "MIG-"))


def _of(tokens: Sequence[str], known: tuple[Board, ...]) -> tuple[Device, ...]:
    """As CUDA reads the list: it ends at the first entry that is no device."""
    found: dict[str, Device] = {}
    for token in tokens:
        uuid = _uuid(token, known) if _names(token) else None
        if uuid is None:
            break
        found.setdefault(uuid, Device(token, uuid))
    return tuple(found.values())


def _uuid(token: str, known: tuple[Board, ...]) -> str | None:
    """An index counts NVML's GPUs, as with CUDA_DEVICE_ORDER=PCI_BUS_ID; a UUID may be cut short."""
    if not known:
        return token
    if token.isdecimal():
        at = int(token)
        return (known[at].parts or (known[at].uuid,))[0] if at < len(known) else None
    uuids = [u for board in known for u in (board.uuid, *board.parts)]
    matching = [u for u in uuids if u.startswith(token)]
    if token.startswith("MIG-GPU-"):  # the old form, <GPU>/<instance>/<compute instance>
        return token
    return matching[0] if len(matching) == 1 else None
