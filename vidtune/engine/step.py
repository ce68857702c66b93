"""One training step in its three parts: loss, backward pass, update."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from vidtune.engine import optim
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.spec import Recipe

MAX_LOGIT_SCALE = math.log(100)  # CLIP's bound, for methods that tune it


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
        self.model, self.recipe = model, recipe
        self.optimizer = optim.optimizer(model, pretrained, recipe)
        # float16 gradients vanish unscaled; on a CPU only the arithmetic of a step is of interest
        scaled = recipe.precision == "amp16" and device.type == "cuda"
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)

    def loss(self, outputs: Any, target: Tensor) -> Tensor:
        return objective(self.model, outputs, target, self.recipe.label_smoothing)

    def backward(self, loss: Tensor) -> None:
        self.scaler.scale(loss).backward()

    def update(self) -> None:
        if self.recipe.clip_grad:
            self.scaler.unscale_(self.optimizer)
            tuned = [p for p in self.model.parameters() if p.requires_grad]
            nn.utils.clip_grad_norm_(tuned, self.recipe.clip_grad)
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


def clamp_logit_scale(clip: nn.Module) -> None:
    """Keep a tuned `logit_scale` within CLIP's bound."""
    scale = getattr(clip, "logit_scale", None)
    if scale is not None and scale.requires_grad:
        with torch.no_grad():
            scale.clamp_(max=MAX_LOGIT_SCALE)
