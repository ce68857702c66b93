"""The model of the template.

Shapes: B videos, T frames, H x W pixels, C classes, E embedding.
"""

import torch
from torch import Tensor, nn

from vidtune.nn.clip import CLIP
from vidtune.nn.task import Recognizer
from vidtune.spec import Model

from .options import Options

ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU}


class Template(Recognizer):
    """A method for retrieval is a `Retriever` instead; `vidtune.nn.task` lists what both may
    define."""

    # Whether the outputs of `prepare` may be kept from one epoch to the next: nothing in it is
    # tuned, and it has no random part.
    cacheable = True

    def __init__(self, clip: CLIP, options: Options, model: Model) -> None:
        super().__init__()
        # What has `requires_grad` is tuned: nothing of the backbone ...
        self.clip = clip.requires_grad_(False)
        # ... and all that the method adds. `head` is the classifier, which a recipe may give a
        # learning rate of its own (`head_lr`).
        self.bottleneck = nn.Sequential(
            nn.Linear(model.backbone.embed, options.width), ACTIVATIONS[options.activation]()
        )
        self.head = nn.Linear(options.width, model.classes)

    # A recipe may exempt learned tokens and positions from weight decay. They are known by name, as
    # `vidtune.nn.task` lists; parameters with other names, such as `prompts`, need an override:
    # def is_token(self, name: str) -> bool:
    #     return name == "prompts" or super().is_token(name)
    #
    # def is_position(self, name: str) -> bool:
    #     return name == "time" or super().is_position(name)

    @torch.no_grad()
    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> ((B, E),): all that no tuned parameter reaches."""
        frames = self.clip.encode_image(video.flatten(0, 1))  # (B*T, E)
        return (frames.unflatten(0, video.shape[:2]).mean(dim=1),)  # (B, E)

    def forward(self, features: Tensor) -> Tensor:
        """(B, E), as `prepare` gives it -> logits (B, C)."""
        return self.head(self.bottleneck(features))


def build(options: Options, model: Model, clip: CLIP) -> Template:
    """Called with the variant's options and a backbone that holds its pre-trained weights.

    A `ValueError` that names the option becomes one line for the user.
    """
    if options.width > 4 * model.backbone.embed:
        raise ValueError(
            f"width: expected at most {4 * model.backbone.embed}, four times the backbone's "
            f"embedding; found {options.width}"
        )
    return Template(clip, options, model)
