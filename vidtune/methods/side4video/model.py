"""Shapes: B videos, T frames, P patches, D trunk width, d side width, K side blocks, C classes,
E embedding."""

from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.eva import EVA
from vidtune.nn.frame_transformer import FrameTransformer
from vidtune.nn.similarity import TokenInteraction, cosine, single
from vidtune.nn.task import Recognizer, Retriever

from .network import SideNetwork, fusion_layers, init_recognition, init_retrieval
from .options import Options


class _SideTuned:
    """What both tasks share: a frozen trunk whose block outputs the side network reads."""

    cacheable = True

    def _attach(self, clip: CLIP | EVA, options: Options, model: spec.Model) -> None:
        self.clip = clip.requires_grad_(False)
        self.layers = fusion_layers(options.fusion, options.layers, model.backbone.layers)
        self.side = SideNetwork(options, model)

    def recompute(self) -> bool:
        for block in self.side.blocks:
            block.recomputed = True
        return True

    def trunk_blocks(self) -> list[nn.Module]:
        return list(self.clip.visual.blocks)

    @torch.no_grad()
    def _trunk(self, video: Tensor) -> Iterator[Tensor]:
        """(B, T, 3, H, W) -> the K outputs that are read, then the last, each (B, T, P+1, D)."""
        visual = self.clip.visual
        x = visual.embed(video.flatten(0, 1))  # (B*T, P+1, D)
        for i, block in enumerate(visual.blocks):
            x = block(x)
            if i in self.layers:
                yield x.unflatten(0, video.shape[:2])
        yield x.unflatten(0, video.shape[:2])


class Side4VideoRecognizer(_SideTuned, Recognizer):
    def __init__(self, clip: CLIP | EVA, options: Options, model: spec.Model) -> None:
        super().__init__()
        self._attach(clip, options, model)
        if isinstance(clip, CLIP):  # the released code's CLIP trunk ends with its blocks
            del clip.visual.ln_post, clip.visual.proj
        self.fc = nn.Linear(options.width, model.classes)
        init_recognition(self.side)

    @property
    def head(self) -> nn.Module:
        return self.fc

    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """(B, T, 3, H, W) -> the pixels and the K trunk outputs (B, T, P+1, D) that are read."""
        *taps, _ = self._trunk(video)
        return (video, *taps)

    def forward(self, video: Tensor, *taps: Tensor) -> Tensor:
        return self._classify(video, taps)

    def at_once(self, video: Tensor, mask: Tensor | None = None) -> Tensor:
        return self._classify(video, islice(self._trunk(video), len(self.layers)))

    def _classify(self, video: Tensor, taps: Iterable[Tensor]) -> Tensor:
        return self.fc(self.side(video, taps).mean(dim=1))  # (B, C)


class Side4VideoRetriever(_SideTuned, Retriever):
    """The side network corrects the trunk's [CLS] before its own last norm and projection.

    The official CLIP attention also computes the [CLS]'s own output and drops it; this one does not
    compute it. The results are the same.
    """

    def __init__(self, clip: CLIP | EVA, options: Options, model: spec.Model) -> None:
        super().__init__()
        self._attach(clip, options, model)
        self.up = nn.Parameter(torch.zeros(options.width, model.backbone.width))  # starts as CLIP
        self.interaction = self.header = None
        if options.interaction == "wti":
            std = None if isinstance(clip, EVA) else 0.02  # the official start values
            self.interaction = TokenInteraction(model.backbone.embed, std)
        init_retrieval(self.side)
        if options.header_layers:
            if not self.interaction:
                raise ValueError(
                    f"header_layers: expected 0 with interaction mean; found {options.header_layers}"
                )
            self.header = FrameTransformer(model.backbone, options.header_layers, model.frames)
        self._tune()

    @property
    def halved(self) -> tuple[nn.Module, ...]:
        return () if isinstance(self.clip, EVA) else (self.clip, self.side)

    def _tune(self) -> None:
        """Tune the text tower, and of the vision tower the last norm and projection.

        The paper names the projection alone; the code trains the norm as well.
        """
        visual = self.clip.requires_grad_(True).visual
        visual.requires_grad_(False)
        for last in ("norm", "head") if isinstance(self.clip, EVA) else ("ln_post", "proj"):
            getattr(visual, last).requires_grad_(True)

    def prepare(self, video: Tensor) -> tuple[Tensor, ...]:
        """As in recognition, and between them the trunk's last [CLS] (B, T, D)."""
        *taps, last = self._trunk(video)
        return (video, last[:, :, 0], *taps)

    def at_once(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        trunk = self._trunk(video)
        update = self._update(video, islice(trunk, len(self.layers)))  # (B, T, D)
        return self.describe(self.clip.visual.project(next(trunk)[:, :, 0] + update), mask)

    def _update(self, video: Tensor, taps: Iterable[Tensor]) -> Tensor:
        s = self.side(video, taps)  # (B, T, d)
        return s @ self.up.to(s.dtype)  # (B, T, D)

    def frames(self, video: Tensor, cls: Tensor, *taps: Tensor) -> Tensor:
        """What `prepare` gives -> frames in the joint embedding, (B, T, E)."""
        update = self._update(video, taps)  # (B, T, D)
        return self.clip.visual.project(cls + update)  # (B, T, E)

    def describe(self, frames: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """(B, T, E) -> for wti the frames and, on EVA, which are real (B, T); else a mean (B, E).

        As in the released code, only EVA's model heeds `mask`, and a mean never does.
        """
        if self.interaction is None:
            return (single(frames).mean(dim=1),)  # (B, E)
        if not isinstance(self.clip, EVA):
            mask = None
        if self.header is not None:
            frames = self.header(frames, mask)
        return (frames,) if mask is None else (frames, mask)

    def forward(
        self, video: Tensor, cls: Tensor, *taps: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        return self.describe(self.frames(video, cls, *taps), mask)

    def encode_text(self, tokens: Tensor) -> tuple[Tensor, ...]:
        """(B, L) -> words (B, L, E) and which are real (B, L); or the text (B, E)."""
        if self.interaction:
            return self.clip.text_states(tokens)
        return (self.clip.encode_text(tokens),)

    def similarity(self, text: tuple[Tensor, ...], video: tuple[Tensor, ...]) -> Tensor:
        return self.interaction(*text, *video) if self.interaction else cosine(*text, *video)


def build(options: Options, model: spec.Model, clip: CLIP | EVA) -> Recognizer | Retriever:
    if model.task == "recognition":
        return Side4VideoRecognizer(clip, options, model)
    return Side4VideoRetriever(clip, options, model)
