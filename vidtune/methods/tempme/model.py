"""Shapes: B videos, F clips of a video (T frames at the start), n tokens of a clip of which the
first c are [CLS], D width, E embedding."""

from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from vidtune import spec
from vidtune.nn.clip import CLIP
from vidtune.nn.lora import add_lora, fold_into_weights
from vidtune.nn.merging import join, last_merging_block, match, merge, merging_block, sources
from vidtune.nn.similarity import mean_of_frames
from vidtune.nn.task import Retriever

from .options import Options


@dataclass(frozen=True)
class BlockPlan:
    """What one block merges: fixed counts per clip."""

    clips: int = 1  # neighbours joined before attention
    across: int = 0  # tokens merged before attention
    within: int = 0  # tokens merged after attention
    cls: int = 1  # [CLS] tokens after joining


def block_plans(options: Options, layers: int, frames: int, patches: int) -> list[BlockPlan]:
    """Every block's plan. Raises `ValueError` where the options do not fit together."""
    _check(options, layers, frames)
    across = options.cross if options.clip_merge in ("both", "cross") else 0
    within = options.intra if options.clip_merge in ("both", "intra") else 0
    first = min(options.merge_layers, default=layers)
    merges = dict(zip(options.merge_layers, options.merge_frames, strict=True))
    if options.clip_merge == "none":
        merges = {}
    n, c, plans = patches + 1, 1, []
    for i in range(layers):
        clips = merges.get(i, 1) if options.join else 1
        n, c, n0 = n * clips, c * clips, 0
        if i in merges:
            n0 = min((n - c) // 2, int(n * (across / 100)))
            n1 = min((n - c - n0) // 2, int((n - n0) * (within / 100)))
            if merges[i] == 1:  # the released code merges none, but counts as if it had
                n0 = 0
        elif i < first or options.img_merge_layers == "all":
            n1 = options.img_merge
        else:
            n1 = min((n - c) // 2, int(n * (within / 100)))
        n -= n0
        if n1 > sources(n, c):
            raise ValueError(
                f"img_merge: expected at most {sources(n, c)} at layer {i}, which has "
                f"{n - c} patch tokens left; found {n1}"
            )
        n -= n1
        plans.append(BlockPlan(clips, n0, n1, c))
    return plans


def _check(options: Options, layers: int, frames: int) -> None:
    at, by = options.merge_layers, options.merge_frames
    if len(at) != len(by):
        raise ValueError(f"merge_frames: expected one per merge layer {at}; found {by}")
    if list(at) != sorted(set(at)) or any(not 0 <= i < layers for i in at):
        raise ValueError(f"merge_layers: expected ascending indices below {layers}; found {at}")
    joined = options.join and options.clip_merge != "none"
    if any(f < 1 for f in by) or (joined and frames % prod(by)):
        raise ValueError(f"merge_frames: expected 1 or more, product dividing {frames}; found {by}")
    if options.img_merge < 0:
        raise ValueError(f"img_merge: expected 0 or more tokens; found {options.img_merge}")
    if options.img_merge_layers == "all" and options.clip_merge != "none":
        raise ValueError("img_merge_layers: all needs clip_merge none; set it or use before_join")


class TempMe(Retriever):
    def __init__(self, clip: CLIP, options: Options, model: spec.Model) -> None:
        super().__init__()
        self.clip = clip
        self.prop_attn = options.prop_attn
        backbone = model.backbone
        self.plans = block_plans(options, backbone.layers, model.frames, backbone.patches)
        clip.requires_grad_(options.tune == "full")
        if options.tune == "lora":
            add_lora(clip, options.lora_rank)
        # Every joining layer has positions; the code adds them only where it merges across clips.
        self.positions = nn.ParameterDict()
        joins = options.frame_pos and options.join and options.clip_merge != "none"
        clips = model.frames
        for i in options.merge_layers if joins else ():
            self.positions[str(i)] = nn.Parameter(torch.zeros(clips, 1, backbone.width))
            clips //= self.plans[i].clips

    def fold_lora(self) -> None:
        fold_into_weights(self.clip)

    def forward(self, video: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        x, size = self._enter_last(video)
        last = self.clip.visual.blocks[-1], x, size, self.plans[-1].within, self.plans[-1].cls
        cls = last_merging_block(*last, self.prop_attn).reshape(*video.shape[:2], -1)  # (B, T, D)
        return (mean_of_frames(self.clip.visual.project(cls), mask),)  # (B, E)

    def tokens(self, video: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T, 3, H, W) -> what leaves the last block, (N, n, D), and how many tokens each
        stands for, (N, n, 1), None where nothing was merged; [CLS] first."""
        x, size = self._enter_last(video)
        last, plan = self.clip.visual.blocks[-1], self.plans[-1]
        return merging_block(last, x, size, plan.within, plan.cls, self.prop_attn)[:2]

    def _enter_last(self, video: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T, 3, H, W) -> what enters the last block's attention, and the sizes."""
        visual = self.clip.visual
        x, size = visual.embed(video.flatten(0, 1)), None  # (B*T, P+1, D)
        for i, (block, plan) in enumerate(zip(visual.blocks, self.plans, strict=True)):
            if plan.clips > 1 or plan.across:
                x, size = self._join(i, plan, x, size, len(video))
            if block is not visual.blocks[-1]:
                x, size, _ = merging_block(block, x, size, plan.within, plan.cls, self.prop_attn)
        return x, size

    def _join(
        self, i: int, plan: BlockPlan, x: Tensor, size: Tensor | None, batch: int
    ) -> tuple[Tensor, Tensor | None]:
        """(B*F, n, D) -> (B*F/clips, n*clips - across, D), and the tokens' sizes likewise.

        Matching is done on the block's input, without the positions.
        """
        cls = plan.cls // plan.clips
        metric = join(x.detach(), plan.clips, cls)
        if plan.clips > 1 and size is None:
            size = torch.ones_like(x[..., :1])
        if plan.across and str(i) in self.positions:
            x = (x.unflatten(0, (batch, -1)) + self.positions[str(i)]).flatten(0, 1)
        x = join(x, plan.clips, cls)
        size = size if size is None else join(size, plan.clips, cls)
        if not plan.across:
            return x, size
        return merge(x, size, match(metric, plan.across, plan.cls))


def build(options: Options, model: spec.Model, clip: CLIP) -> Retriever:
    return TempMe(clip, options, model)
