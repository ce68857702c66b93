"""Records live storages: what a computation allocates and when it is freed.

The ledger runs over fake tensors, which have sizes but neither memory nor values. It enters every
storage that a GPU's caching allocator would hold, rounded up to 512 bytes like the allocator does.
Of what CUDA's kernels allocate for themselves it knows `OWN` alone, and nothing of the allocator's
fragments. Its relative in torch, `torch.distributed._tools.mem_tracker`, is a private API.
"""

import itertools
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BLOCK = 512  # bytes
WORKSPACE = "workspace"  # the label of a storage that nobody labelled
IGNORED = "ignored"  # the label of a storage that no total includes
# Operators whose kernel has a tensor as large as their first input, beside input and output, until it
# ends: the product of gradient and output (aten/src/ATen/native/cuda/SoftMax.cu of torch 2.13).
OWN = {torch.ops.aten._softmax_backward_data.default}


class Ledger(TorchDispatchMode):
    """Records every allocation inside it.

    Storages are numbered in the order in which they appear; `events` are (number, bytes), with
    negative bytes when a storage is freed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[int, int]] = []
        self.phases: dict[str, tuple[int, int]] = {}  # first event and one past the last
        self.labels: dict[int, str] = {}  # by storage number
        self._numbers: dict[int, int] = {}  # of live storages, by address
        self._watches: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = op(*args, **(kwargs or {}))
        for leaf in (out,) if isinstance(out, Tensor) else tree_leaves(out):
            if isinstance(leaf, Tensor):
                self.enter(leaf)
        if op in OWN:
            self.enter(torch.empty_like(args[0]))
        return out

    def enter(self, tensor: Tensor) -> int:
        """Record a tensor's storage unless it is known, and return the storage's number."""
        storage = tensor.untyped_storage()
        address = storage._cdata
        if address not in self._numbers:
            number = len(self.labels)
            size = -(-storage.nbytes() // BLOCK) * BLOCK
            self._numbers[address], self.labels[number] = number, WORKSPACE
            self.events.append((number, size))

            def freed(_: Any) -> None:
                del self._numbers[address], self._watches[address]
                self.events.append((number, -size))

            self._watches[address] = weakref.ref(storage, freed)
        return self._numbers[address]

    def label(self, tensors: Iterable[Any], label: str) -> None:
        """Give tensors a label, which also holds for the time before this call."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                self.labels[self.enter(tensor)] = label

    def label_rest(self, label: str) -> None:
        """Label every live, unlabelled storage `label`."""
        for number in self._numbers.values():
            if self.labels[number] == WORKSPACE:
                self.labels[number] = label

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Name the events inside the `with` block, as in "forward"; a name is used once."""
        start = len(self.events)
        yield
        self.phases[name] = (start, len(self.events))

    @property
    def peak(self) -> int:
        """The most live bytes in any phase."""
        return max(self.peaks()[0].values())

    def live(self) -> list[int]:
        """The live bytes before the first event and after each."""
        labels = (self.labels[number] for number, _ in self.events)
        sizes = (0 if n == IGNORED else e[1] for n, e in zip(labels, self.events, strict=True))
        return list(itertools.accumulate(sizes, initial=0))

    def moments(self) -> list[int]:
        """The live bytes at every moment of the phases, one phase after the other."""
        live = self.live()
        return [size for start, end in self.phases.values() for size in live[start : end + 1]]

    def peaks(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the most live bytes of each phase, and the bytes under each label at the peak."""
        live = self.live()
        at = {
            name: max(range(start, end + 1), key=live.__getitem__)
            for name, (start, end) in self.phases.items()
        }
        top = max(reversed(at.values()), key=live.__getitem__)  # of equal peaks the last
        by_label: Counter[str] = Counter()
        for number, size in self.events[:top]:
            by_label[self.labels[number]] += size
        by_label.pop(IGNORED, None)
        by_phase = {name: live[k] for name, k in at.items()}
        return by_phase, {label: size for label, size in by_label.items() if size}
