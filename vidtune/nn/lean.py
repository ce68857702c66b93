"""Whether models leave out what changes no output: work on tokens that nothing reads, and tensors that
backward can do without.

They do, but where the costs that a method was published with are counted or predicted (vidtune/cost).
"""

from collections.abc import Iterator
from contextlib import contextmanager

_lean = True


def lean() -> bool:
    """Whether a model may leave out what changes no output."""
    return _lean


@contextmanager
def as_published() -> Iterator[None]:
    """Inside the block models compute and keep everything as their papers' code does."""
    global _lean
    before, _lean = _lean, False
    try:
        yield
    finally:
        _lean = before
