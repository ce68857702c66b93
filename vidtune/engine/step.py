"""One training step in its three parts: forward, backward, update."""

import math

import torch
from torch import Tensor, nn

from vidtune.engine import optim
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.spec import Recipe

MAX_LOGIT_SCALE = math.log(100)  # CLIP's bound, for methods that tune it


class Step:
    """The optimiser and the gradient scaler of a recipe, over a model's tuned parameters."""

    def __init__(
        self, model: VideoModel, pretrained: set[str], recipe: Recipe, where: torch.device
    ) -> None:
        self.model, self.recipe, self.where = model, recipe, where
        self.optimizer = optim.optimizer(model, pretrained, recipe)
        # float16 gradients vanish unscaled; on a CPU only the arithmetic of a step is of interest
        scaled = recipe.precision == "amp16" and where.type == "cuda"
        self.scaler = torch.amp.GradScaler(where.type, enabled=scaled)

    def loss(self, out: Tensor | tuple[Tensor, ...], target: Tensor) -> Tensor:
        """The loss of the model's outputs: cross-entropy with labels, or the method's with texts.

        To be called, as the model is, inside `vidtune.engine.model.precision`.
        """
        if isinstance(self.model, Recognizer):
            smoothing = self.recipe.label_smoothing
            return nn.functional.cross_entropy(out, target, label_smoothing=smoothing)
        return self.model.loss(self.model.encode_text(target), out)

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
        _clamp_logit_scale(self.model)


def _clamp_logit_scale(model: VideoModel) -> None:
    scale = getattr(model.clip, "logit_scale", None)
    if scale is not None and scale.requires_grad:
        with torch.no_grad():
            scale.clamp_(max=MAX_LOGIT_SCALE)
