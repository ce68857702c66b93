"""Three ways to count the matrix products of a model, side by side.

`counted`: fvcore's formulas below its tracer, which is what `vidtune cost` prints, at any size.
`fvcore`: fvcore's own counter, on real tensors, up to ViT-B/16. `torch`: torch's FlopCounterMode,
halved. `closed`: a closed form (`vidtune.cost.closed`), nothing but arithmetic. They share no
code; where they differ by more than `CLOSE` of the largest, one of them is wrong.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from vidtune.cost import closed, fvcore_counter
from vidtune.cost.count import alike, built, passes, tallies
from vidtune.cost.formulas import PRODUCTS
from vidtune.nn.task import VideoModel
from vidtune.spec import Model

CLOSE = 0.002
# What fvcore's own counter, which has to run the model, takes on: trunks up to ViT-B/16's width, and
# multiply-accumulates of one video, some 24 frames there.
WIDEST, LARGEST = 768, 500e9


@dataclass
class Audit:
    """Multiply-accumulates of a model by side (`counted.passes`) and by counter, and what the
    counters did not see."""

    name: str
    sides: dict[str, dict[str, int]]
    given: Counter[str] = field(default_factory=Counter)  # to fvcore; see `fvcore_counter.Traced`
    unseen: dict[str, Counter[str]] = field(default_factory=dict)  # counter -> operator -> calls

    @property
    def difference(self) -> float:
        """The largest of all sides, as a share of the largest number."""
        return max(1 - min(n.values()) / max(n.values()) for n in self.sides.values())

    @property
    def agrees(self) -> bool:
        return self.difference <= CLOSE


def audit_all(models: Iterable[Model]) -> Iterator[Audit]:
    """One after the other; variants that are built alike are counted once."""
    seen: dict[str, Audit] = {}
    for model in models:
        key = alike(model)
        if key not in seen:
            seen[key] = audit(model)
        yield replace(seen[key], name=model.name)


def audit(model: Model) -> Audit:
    """A model by every counter that can count it; no closed form or too large: it is left out."""
    net = built(model).requires_grad_(False)
    net.fold_lora()
    found = {side: t.products for side, t in tallies(net, model).items()}
    there = passes(net, model)
    out = Audit(model.name, {side: {"counted": found[side]} for side in there})
    for side, call in there.items():
        out.sides[side]["torch"], unseen = _torch(call)
        out.unseen["torch"] = out.unseen.get("torch", Counter()) + unseen
    if form := closed.FORMS.get(model.method):
        for side, counts in out.sides.items():
            counts["closed"] = getattr(form(model), side)
    if found["vision"] <= LARGEST and model.backbone.width <= WIDEST:
        _fvcore(net, model, out)
    return out


class _Products(TorchDispatchMode):
    """Notes the products that torch's counter has no formula for."""

    def __init__(self) -> None:
        super().__init__()
        self.unseen: Counter[str] = Counter()

    def __torch_dispatch__(
        self, op: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if op in PRODUCTS and op.overloadpacket not in flop_registry:
            self.unseen[op.overloadpacket.__name__] += 1
        return op(*args, **(kwargs or {}))


@torch.no_grad()
def _torch(call: Callable[[], Any]) -> tuple[int, Counter[str]]:
    """torch's own count, in which a multiply-accumulate is two."""
    with FlopCounterMode(display=False) as flops, _Products() as products:
        call()
    return flops.get_total_flops() // 2, products.unseen


def _fvcore(net: VideoModel, model: Model, out: Audit) -> None:
    net = fvcore_counter.real(net)
    for side, call in passes(net, model).items():
        found = fvcore_counter.count(net, call)
        out.sides[side]["fvcore"] = found.products
        out.given += found.given
        out.unseen["fvcore"] = out.unseen.get("fvcore", Counter()) + found.unseen
