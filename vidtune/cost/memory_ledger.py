"""Records live storages: what a computation allocates and when it is freed.

The ledger runs over fake tensors, which have sizes but neither memory nor values. It enters every
storage that a GPU's caching allocator would hold, rounded up to 512 bytes like the allocator does.
It does not see what a kernel allocates for itself, nor the allocator's fragments. Its relative in
torch, `torch.distributed._tools.mem_tracker`, is a private API.
"""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BLOCK = 512  # bytes
WORKSPACE = "workspace"  # the kind of a storage that nobody labelled


class Ledger(TorchDispatchMode):
    """Records every allocation inside it.

    Storages are numbered in the order in which they appear; `events` are (number, bytes), with
    negative bytes when a storage is freed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[int, int]] = []
        self.phases: list[tuple[str, int, int]] = []  # name, first event, one past the last
        self.kinds: dict[int, str] = {}  # by storage number
        self._numbers: dict[int, int] = {}  # of live storages, by address
        self._ignored: set[int] = set()
        self._watches: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = op(*args, **(kwargs or {}))
        for leaf in (out,) if isinstance(out, Tensor) else tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.enter(leaf)
        return out

    def enter(self, tensor: Tensor) -> int:
        """Records a tensor's storage unless it is known, and returns the storage's number."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._numbers:
            number = len(self.kinds)
            size = -(-storage.nbytes() // BLOCK) * BLOCK
            self._numbers[address], self.kinds[number] = number, WORKSPACE
            self.events.append((number, size))

            def freed(_: Any) -> None:
                del self._numbers[address], self._watches[address]
                self.events.append((number, -size))

            self._watches[address] = weakref.ref(storage, freed)
        return self._numbers[address]

    def label(self, tensors: Iterable[Any], kind: str) -> None:
        """Give tensors a kind, which also holds for the time before this call."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                self.kinds[self.enter(tensor)] = kind

    def ignore(self, tensors: Iterable[Tensor]) -> None:
        """Ignore these tensors in all totals."""
        self._ignored |= {self.enter(tensor) for tensor in tensors}

    def label_rest(self, kind: str) -> None:
        """Label every live, unlabelled storage `kind`."""
        for number in self._numbers.values():
            if self.kinds[number] == WORKSPACE:
                self.kinds[number] = kind

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Name the events inside the `with` block, as in "forward"."""
        start = len(self.events)
        yield
        self.phases.append((name, start, len(self.events)))

    @property
    def peak(self) -> int:
        """The most live bytes in any phase."""
        return max(self.peaks()[0].values())

    def peaks(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the most live bytes of each phase, and the bytes of each kind at the peak."""
        live, course = 0, [0]  # bytes before the first event, and after each
        for number, change in self.events:
            live += 0 if number in self._ignored else change
            course.append(live)
        by_phase: dict[str, int] = {}
        top = 0
        for name, start, end in self.phases:
            at = max(range(start, end + 1), key=course.__getitem__)
            by_phase[name] = max(by_phase.get(name, 0), course[at])
            if course[at] == max(by_phase.values()):
                top = at
        by_kind: Counter[str] = Counter()
        for number, change in self.events[:top]:
            if number in self._ignored:
                continue
            by_kind[self.kinds[number]] += change
        return by_phase, {kind: size for kind, size in by_kind.items() if size}
