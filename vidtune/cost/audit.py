"""Counts the matrix products of a model in up to four ways, side by side.

`counted`: `vidtune.cost.count`, which `vidtune cost` prints, at any size. `fvcore`: fvcore's own
counter, on real tensors, up to ViT-B/16. `torch`: torch's FlopCounterMode, halved. `closed`: a
closed form (the method's `closed_form.py`), nothing but arithmetic. They share no code; where they
differ by more than `CLOSE` of the largest, one of them is wrong.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from vidtune.cost import fvcore_counter
from vidtune.cost.count import build_on_meta, cost_key, passes, tallies
from vidtune.cost.formulas import PRODUCTS
from vidtune.nn.closed_form import Macs
from vidtune.nn.lean import as_published
from vidtune.plan.registry import options_of
from vidtune.spec import Model

CLOSE = 0.002
# fvcore's own counter has to run the model, so it is asked up to ViT-B/16's width, and up to these
# multiply-accumulates of one video: about 24 frames of ViT-B/16.
WIDEST, LARGEST = 768, 500e9


@dataclass
class Audit:
    """Multiply-accumulates of a model by side (`count.passes`) and by counter, and the operators
    that a counter did not see."""

    name: str
    sides: dict[str, dict[str, int]]
    given: Counter[str] = field(default_factory=Counter)  # formulas given to fvcore
    # counter -> operator -> calls
    unseen: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))

    @property
    def difference(self) -> float:
        """The largest difference on any side, as a share of that side's largest count."""
        return max(1 - min(n.values()) / max(n.values()) for n in self.sides.values())

    @property
    def agrees(self) -> bool:
        return self.difference <= CLOSE


def audit_all(models: Iterable[Model]) -> Iterator[Audit]:
    """Audit one model after the other; variants that cost the same are counted once."""
    done: dict[str, Audit] = {}
    for model in models:
        key = cost_key(model)
        if key not in done:
            done[key] = audit(model)
        yield replace(done[key], name=model.name)


@as_published()
def audit(model: Model) -> Audit:
    """Count a model by every counter that can; without a closed form `closed` is left out, beyond
    ViT-B/16 `fvcore`."""
    net = build_on_meta(model).requires_grad_(False)
    net.fold_lora()
    tallied, calls = tallies(net, model), passes(net, model)
    out = Audit(model.name, {side: {"counted": tallied[side].products} for side in calls})
    for side, call in calls.items():
        with torch.no_grad(), FlopCounterMode(display=False) as flops, _Products() as products:
            call()
        out.sides[side]["torch"] = flops.get_total_flops() // 2  # which counts each product as two
        out.unseen["torch"] += products.unseen
    if form := closed_form(model):
        for side, counts in out.sides.items():
            counts["closed"] = getattr(form, side)
    if tallied["vision"].products <= LARGEST and model.backbone.width <= WIDEST:
        net = fvcore_counter.to_zeros(net)
        for side, call in passes(net, model).items():
            traced = fvcore_counter.count_products(net, call)
            out.sides[side]["fvcore"] = traced.products
            out.given += traced.given
            out.unseen["fvcore"] += traced.unseen
    return out


def closed_form(model: Model) -> Macs | None:
    """Return what the method's closed form gives; None where it has none."""
    name = f"vidtune.methods.{model.method}.closed_form"
    return import_module(name).macs(model, options_of(model)) if find_spec(name) else None


class _Products(TorchDispatchMode):
    """Counts the calls of products for which torch's counter has no formula."""

    def __init__(self) -> None:
        super().__init__()
        self.unseen: Counter[str] = Counter()

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if op in PRODUCTS and op.overloadpacket not in flop_registry:
            self.unseen[op.overloadpacket.__name__] += 1
        return op(*args, **(kwargs or {}))
