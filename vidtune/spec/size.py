"""Sizes of memory as people write them."""

import math
import re

from vidtune.spec.errors import UserError

GIB = 1 << 30
UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": GIB}


def parse_size(text: str) -> int:
    """Return the bytes of a size such as "24GiB" or "80 GB". Raises `UserError` otherwise."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", text)
    known = match and match[2].upper() in UNITS
    if not known or not 0 < float(match[1]) < math.inf:
        wanted = "expected a number and a unit, such as 24GiB or 80GB"
        raise UserError(f"{text!r}: not a size; {wanted}")
    return int(float(match[1]) * UNITS[match[2].upper()])


def parse_gpus(text: str) -> tuple[int, int]:
    """Return how many GPUs, and the bytes of each, of a text such as "8x80GiB". Raises `UserError`."""
    match = re.fullmatch(r"\s*([1-9]\d*)\s*x(.*)", text)
    try:
        if match:
            return int(match[1]), parse_size(match[2])
    except UserError:
        pass
    raise UserError(f"{text!r}: no GPUs; expected their number and size, such as 8x80GiB")
