"""What the engine asks of every model, whatever its method: the contract of a method.

A method's `build` returns a `Recognizer` or a `Retriever`. Besides `forward` it may say, by
overriding an attribute or a method of these classes:
- `head`: the classifier, which a recipe may give a learning rate of its own (`head_lr`);
- `is_token`, `is_position`: the parameters that a recipe may exempt from weight decay (`no_decay`)
  as learned tokens and learned positions. By default the last part of a token's name is
  `class_embedding`, `cls` or ends with `token` or `query`, and a part of a position's name begins
  with `position` or `pos_embed`; whatever has another name, as `prompts`, decays;
- `inside`: which modules inside the backbone's towers `vidtune cost` counts as parts of their own;
  by default those named `lora`, `after_attn` and `after_mlp`;
- `cacheable`, `prepare`, `at_once`, `trunk_blocks`, `recompute`, `fold_lora`: how it runs.

Shapes: B videos, T frames, C classes, E embedding, L words.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vidtune.nn.clip import CLIP, Attention
from vidtune.nn.similarity import cosine
from vidtune.spec import UserError

# Modules whose own parameters may be float16.
HALF = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, Attention)


class VideoModel(nn.Module):
    """A method on a backbone. Tuned parameters are those with `requires_grad`.

    `forward(*prepare(video))` is the vision side, whose cost the papers print. `prepare` is the
    part that no tuned parameter reaches; its outputs may be cached where `cacheable` is true.
    `trunk_blocks()` are the vision blocks whose tokens are traced: each has `.attn` (whose first
    call takes (sequences, tokens, D)) and `.mlp`.
    """

    cacheable = False
    # Modules that stand inside a tower, and the part that `vidtune cost` counts them as.
    inside: ClassVar[dict[str, str]] = {
        "lora": "lora",
        "after_attn": "adapters",
        "after_mlp": "adapters",
    }
    clip: CLIP

    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) normalised frames -> what `forward` takes."""
        return (video,)

    def at_once(self, video: Tensor, mask: Tensor | None = None) -> Any:
        """`forward(*prepare(video))`; a method may free each prepared tensor after its use."""
        return self(*self.prepare(video), **({} if mask is None else {"mask": mask}))

    def trunk_blocks(self) -> list[nn.Module]:
        return list(self.clip.visual.blocks)

    @property
    def halved(self) -> tuple[nn.Module, ...]:
        """What `to_half` converts; empty where parts that stay in single precision need its outputs."""
        return ()

    def to_half(self) -> None:
        """Turn the weights to float16 that OpenAI's `convert_weights` turns: of linear layers,
        convolutions and attention, and projections. Norms, embeddings and all else stay. Raises
        `UserError` for a method that does not compute so."""
        if not self.halved:
            raise UserError(
                f"weights: fp16: {type(self).__name__} computes beside its backbone in single precision; "
                "give the recipe precision: amp16 instead"
            )
        for part in self.halved:
            for p in _products(part):
                p.data = p.data.half()

    def lower_frozen(self, dtype: torch.dtype) -> None:
        """Keep the vision tower's frozen weights of products in the type that autocast would cast
        them to at every use. What is computed stays the same, but needs autocast to that type."""
        for p in _products(self.clip.visual):
            if not p.requires_grad:
                p.data = p.data.to(dtype)

    def recompute(self) -> bool:
        """Keep less for backward, which computes it again (`recipe.checkpoint`, --recompute); false: the
        method has nothing that can be."""
        return False

    def fold_lora(self) -> None:
        """Fold low-rank updates into the weights for inference; outputs stay equal."""

    def is_token(self, name: str) -> bool:
        """Whether the parameter of this name is a learned token."""
        last = name.split(".")[-1]
        return last in ("class_embedding", "cls") or last.endswith(("token", "query"))

    def is_position(self, name: str) -> bool:
        """Whether the parameter of this name holds learned positions."""
        return any(part.startswith(("position", "pos_embed")) for part in name.split("."))

    def part_of(self, name: str) -> str:
        """The part that the parameter of this name is counted in: the model's module that has it;
        of the backbone its vision tower ("trunk"), its text tower ("text"), what a method has put
        inside either ("text lora"), or the scale of its similarities."""
        first, *rest = name.split(".")
        if first != "clip":
            return first
        if rest == ["logit_scale"]:
            return "scale"
        tower = "trunk" if rest[0] == "visual" else "text"
        inside = next((self.inside[module] for module in rest if module in self.inside), None)
        return f"{tower} {inside}" if inside else tower


def _products(part: nn.Module) -> Iterator[nn.Parameter]:
    """Parameters of linear layers, convolutions, attention and projections."""
    for module in part.modules():
        for name, p in module.named_parameters(recurse=False):
            if isinstance(module, HALF) or name in ("proj", "text_projection"):
                yield p


class Recognizer(VideoModel):
    """`forward(*prepared) -> (B, C)` logits.

    Every recognizer has `head`: a submodule of that name, or a property that returns the
    classifier under another name; None where the classifier has no parameters.
    """

    head: nn.Module | None


class TextRecognizer(Recognizer):
    """Its classifier is the frozen text tower's features of the classes' names, encoded once.

    Until `name_classes` all logits are 0. No checkpoint holds the names: they are the dataset's.
    """

    texts: Tensor

    def __init__(self, clip: CLIP, classes: int, embed: int) -> None:
        super().__init__()
        self.clip = clip
        self.head = None
        self.names: Tensor | None = None
        self.encoded = False  # whether `texts` are of these names and of these weights
        self.register_buffer("texts", torch.zeros(classes, embed), persistent=False)

    def name_classes(self, tokens: Tensor) -> None:
        """Token ids (C, L) of the classes' names, in the order of the labels."""
        self.names, self.encoded = tokens, False

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Load as usual; the classes' names are encoded again at their next use."""
        self.encoded = False
        return super().load_state_dict(*args, **kwargs)

    def class_texts(self) -> Tensor:
        """(C, E), not normalised; encoded at the first use."""
        if self.names is not None and not self.encoded:
            where = self.texts.device
            with torch.no_grad(), torch.autocast(where.type, enabled=False):
                self.texts = self.clip.encode_text(self.names.to(where))
            self.encoded = True
        return self.texts

    def logits(self, video: Tensor) -> Tensor:
        """Video features (B, E) -> (B, C)."""
        return self.clip.logit_scale.exp() * cosine(video, self.class_texts())


class Retriever(VideoModel):
    """`forward(*prepared, mask=None)` -> video features, each (B, ...), for `similarity`.

    `mask` (B, T) says which frames are real; without it all are.
    """

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """(B, L) token ids, 0 where padded -> text features, each (B, ...)."""
        return (self.clip.encode_text(tokens),)

    def similarity(self, text: tuple[Tensor, ...], video: tuple[Tensor, ...]) -> Tensor:
        """Unscaled similarities (texts, videos): the cosine, unless a method has its own."""
        return cosine(*text, *video)

    def loss(self, text: tuple[Tensor, ...], video: tuple[Tensor, ...]) -> Tensor:
        """Symmetric contrastive loss of matching pairs."""
        logits = self.clip.logit_scale.exp() * self.similarity(text, video)
        target = torch.arange(len(logits), device=logits.device)
        rows = F.cross_entropy(logits, target)
        columns = F.cross_entropy(logits.T, target)
        return (rows + columns) / 2
