"""One training step: the gradients of a batch, however it is split, and the update.

A batch is the recipe's. Each rank computes its clips of it in one or more pieces; losses and gradients
are those of the whole batch. Pieces' gradients are added by halves, so that two processes, and one with
twice as many pieces, add the same numbers in the same order: their results are equal to the bit.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from vidtune.data.batches import Batch, Split
from vidtune.engine import optim, ranks
from vidtune.engine.device import precision
from vidtune.nn.rows import give_rows
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.spec import Recipe

MAX_LOGIT_SCALE = math.log(100)  # CLIP's bound, for methods that tune it

Features = tuple[Tensor, ...]
Grads = list[Tensor | None]  # of the tuned weights, in their order


def objective(model: VideoModel, outputs: Any, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """The loss of a model's outputs: cross-entropy with labels (B,), smoothed by `smoothing`, or
    the method's own with token ids (B, L).

    It is computed, as the outputs are, inside `vidtune.engine.device.precision`.
    """
    if isinstance(model, Recognizer):
        return nn.functional.cross_entropy(outputs, target, label_smoothing=smoothing)
    return model.loss(model.encode_text(target), outputs)


class Step:
    """The optimiser and the gradient scaler of a recipe, over a model's tuned parameters."""

    def __init__(
        self, model: VideoModel, pretrained: set[str], recipe: Recipe, device: torch.device
    ) -> None:
        self.model, self.recipe, self.device = model, recipe, device
        self.optimizer = optim.optimizer(model, pretrained, recipe)
        self.tuned = [p for p in model.parameters() if p.requires_grad]
        # float16 gradients vanish unscaled; on a CPU only the arithmetic of a step is of interest
        scaled = recipe.precision == "amp16" and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)

    def gradients(
        self, batches: Iterator[Batch], work: Split, forward: Callable[..., Any]
    ) -> float:
        """Leave the gradients of the next batch, whose pieces for this rank come first in `batches`,
        and return its loss. `forward` is the model's, or its `at_once`."""
        pieces = islice(batches, work.pieces)
        if isinstance(self.model, Recognizer):
            return self._classify(pieces, work, forward)
        return self._match(list(pieces), work, forward)

    def _classify(self, pieces: Iterator[Batch], work: Split, forward: Callable[..., Any]) -> float:
        """The mean of the pieces' losses, for pieces are of one size."""
        total = torch.zeros(1, dtype=torch.float64, device=self.device)

        def one() -> None:
            piece = next(pieces)
            with precision(self.recipe, self.device):
                loss = self.loss(self._outputs(piece, forward), piece.target)
                loss = loss / (work.ranks * work.pieces)
            self.backward(loss)
            total.add_(loss.detach())

        self._leave(_of_all_ranks(self._sum(work.pieces, one)))
        ranks.sum_up([total])
        return total.item()

    def _match(self, pieces: Sequence[Batch], work: Split, forward: Callable[..., Any]) -> float:
        """The loss of all texts and videos with each other, those of other pieces and ranks among them.

        Its gradient is taken in two steps, cut where features leave the encoders. Of several parts
        the features are computed twice: first all of them without what a gradient needs, then piece by
        piece with it (Gao et al. 2021, arXiv:2101.06983).
        """
        twice = work.parts > 1
        with precision(self.recipe, self.device), torch.set_grad_enabled(not twice):
            encoded = [self._encode(piece, forward) for piece in pieces]
        leaves = [tuple(_leaf(x, twice) for x in (*text, *video)) for text, video in encoded]
        joined = [ranks.gather(torch.cat(column)) for column in zip(*leaves, strict=True)]
        n = len(encoded[0][0])
        with precision(self.recipe, self.device):
            loss = self.model.loss(tuple(joined[:n]), tuple(joined[n:]))
        self.backward(loss)
        behind = _of_all_ranks(self._take(), ranks.count())  # the gathering: each rank has it
        rest = zip(pieces, leaves, encoded, strict=True)

        def one() -> None:
            piece, leaf, (text, video) = next(rest)
            if twice:
                text, video = self._encode(piece, forward, again=True)
            self._carry_on((*text, *video), leaf)

        grads = _of_all_ranks(self._sum(len(pieces), one), self.recipe.gathered_by)
        self._leave(_added(grads, behind))
        return loss.item()

    def _sum(self, pieces: int, one: Callable[[], None]) -> Grads:
        """Return the gradients of that many pieces, each of which `one` leaves in turn, added by halves."""
        if pieces == 1:
            one()
            return self._take()
        first = self._sum(pieces // 2, one)
        return _added(first, self._sum(pieces - pieces // 2, one))

    def _take(self) -> Grads:
        """Return the gradients of the tuned weights, and leave none."""
        grads = [p.grad for p in self.tuned]
        self._leave([None] * len(grads))
        return grads

    def _leave(self, grads: Grads) -> None:
        for p, grad in zip(self.tuned, grads, strict=True):
            p.grad = grad

    def _encode(
        self, piece: Batch, forward: Callable[..., Any], again: bool = False
    ) -> tuple[Features, Features]:
        """Text and video features of a piece; a second time they leave running statistics alone."""
        with precision(self.recipe, self.device):
            video = self._outputs(piece, forward, again)
            return self.model.encode_text(piece.target), video

    def _outputs(self, piece: Batch, forward: Callable[..., Any], again: bool = False) -> Any:
        rows = piece.rows
        give_rows(self.model, replace(rows, first=False) if rows and again else rows)
        return forward(*piece.inputs, **piece.masks)

    @staticmethod
    def _carry_on(features: Features, leaves: Features) -> None:
        """Take the gradient from where it was cut on to the parameters."""
        pairs = zip(features, leaves, strict=True)
        reached = [(x, leaf.grad) for x, leaf in pairs if x.requires_grad and leaf.grad is not None]
        if reached:
            torch.autograd.backward(*zip(*reached, strict=True))

    def loss(self, outputs: Any, target: Tensor) -> Tensor:
        return objective(self.model, outputs, target, self.recipe.label_smoothing)

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def update(self) -> None:
        if self.recipe.clip_grad:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.tuned, self.recipe.clip_grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)  # the next forward pass needs their room
        clamp_logit_scale(self.model.clip)

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if state["scaler"]:  # one that does not scale has no state
            self.scaler.load_state_dict(state["scaler"])


def _added(one: Grads, other: Grads) -> Grads:
    """Return the sums of gradients, which take the place of the first ones; None is 0."""
    pairs = zip(one, other, strict=True)
    return [b if a is None else a if b is None else a.add_(b) for a, b in pairs]


def _of_all_ranks(grads: Grads, divisor: int = 1) -> Grads:
    """Replace gradients by their sums over the ranks, divide these, and return them. (Divided before, they
    would be rounded once for every rank.)"""
    found = [g for g in grads if g is not None]
    ranks.sum_up(found)
    for grad in found if divisor > 1 else ():
        grad /= divisor
    return grads


def _leaf(x: Tensor, always: bool) -> Tensor:
    """A feature cut off from its encoder, which takes a gradient if the encoder does."""
    return x.detach().requires_grad_(x.is_floating_point() and (always or x.requires_grad))


def clamp_logit_scale(clip: nn.Module) -> None:
    """Keep a tuned `logit_scale` within CLIP's bound."""
    scale = getattr(clip, "logit_scale", None)
    if scale is not None and scale.requires_grad:
        with torch.no_grad():
            scale.clamp_(max=MAX_LOGIT_SCALE)
