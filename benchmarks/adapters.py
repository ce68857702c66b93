"""How the authors' own code is built and called, so that `against.py` can time it beside ours.

Their code is looked for in a folder that the user names, with a checkout of each repository under
its own name; none of it is part of this repository. Models get random weights and float32.
Shapes: B videos, T frames, S pixels, L words, C classes, E embedding.
"""

import importlib
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from vidtune.nn.task import VideoModel
from vidtune.spec import Model, UserError


@dataclass(frozen=True)
class Official:
    """The authors' model; its state dict is what `load_official.load_into` takes."""

    name: str  # its name in `vidtune.methods.load_official`
    net: nn.Module
    video: Callable[[Tensor], Tensor]  # (B, T, 3, S, S) -> (B, C) or (B, E)
    text: Callable[[Tensor], Tensor] | None = None  # (B, L) token ids -> (B, E)
    frozen_in_half: bool = False  # whether the authors hold frozen weights in float16


@contextmanager
def importing(folder: Path, **stand_ins: ModuleType) -> Iterator[None]:
    """Imports come from `folder` first; afterwards its modules are forgotten, but for who holds them.

    `stand_ins` take the place of modules that cannot be imported and whose part is not run.
    """
    before = set(sys.modules)
    sys.path.insert(0, str(folder))
    for name, module in stand_ins.items():
        sys.modules.setdefault(name.replace("__", "."), module)
    try:
        yield
    except ImportError as e:
        raise UserError(f"{folder}: {e}; install what the authors' code needs") from None
    finally:
        sys.path.remove(str(folder))
        for name in set(sys.modules) - before:
            where = getattr(sys.modules[name], "__file__", None) or ""
            if where.startswith(str(folder)) or name.replace(".", "__") in stand_ins:
                del sys.modules[name]


def _module(name: str, **content: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(content)
    return module


def st_adapter(folder: Path, model: Model, ours: VideoModel) -> Official:
    """linziyi96/st-adapter. Its trunk is kept in half precision for the GPU: made float32."""
    settings = _module(
        "configs", CLIP_VIT_B16_PATH=None, CLIP_VIT_L14_PATH=None, DWCONV3D_DISABLE_CUDNN=True
    )
    with importing(folder, configs=settings):
        kind = importlib.import_module("models_adapter").VisionTransformer
    o, b = model.options, model.backbone
    net = kind(
        input_resolution=b.image,
        patch_size=b.patch,
        width=b.width,
        layers=b.layers,
        heads=b.width // 64,
        num_classes=model.classes,
        adapter_width=o["width"],
        adapter_layers=o["layers"],
        adapter_kernel_size=tuple(o["kernel"]),
        adapter_pre_attn=o["pre_attn"],
        adapter_pre_mlp=o["pre_mlp"],
    ).float()
    return Official(
        "st_adapter", net, lambda video: net(video.transpose(1, 2)), frozen_in_half=True
    )


def side4video(folder: Path, model: Model, ours: VideoModel) -> Official:
    """HJYao00/Side4Video, recognition with CLIP's trunk: every block has a side block."""
    if model.options["layers"] != model.backbone.layers:
        raise UserError(f"{model.name}: the released code has as many side layers as the trunk")
    path = folder / "Recognition" / "clip" / "model.py"  # its package asks for torchvision
    with importing(path.parent):
        tower = importlib.import_module("model").VisualTransformer
    b, width = model.backbone, model.options["width"]
    visual = tower(
        b.image, b.patch, b.width, b.layers, b.width // 64, b.embed, T=model.frames, side_dim=width
    )
    net = nn.ModuleDict({"visual": visual, "fc": nn.Linear(width, model.classes or 1)})
    for name, p in net.named_parameters():
        p.requires_grad_("side" in name or name.startswith("fc"))
    return Official("side4video_recognition", net, lambda v: net["fc"](visual(v.flatten(0, 1))))


def tempme(folder: Path, model: Model, ours: VideoModel) -> Official:
    """LunarShen/TempMe: tower by tower, without the process group that its own loss asks for."""
    o, b = model.options, model.backbone

    def dashed(values: Any) -> str:
        return "-".join(map(str, values))

    never_run = _module("timm.models.layers", drop_path=None)  # timm asks for torchvision
    with importing(folder, timm__models__layers=never_run), tempfile.TemporaryDirectory() as place:
        code = importlib.import_module("tvr.models.modeling")
        encoder = f"ViT-{b.name.removeprefix('vit-')[0].upper()}/{b.patch}"
        trunk = {n.removeprefix("clip."): t for n, t in ours.state_dict().items()}
        torch.save(
            {k: t for k, t in trunk.items() if "lora" not in k and not k.startswith("positions")},
            Path(place) / code._PT_NAME[encoder],
        )
        net = code.VTRModel(
            SimpleNamespace(
                base_encoder=encoder,
                pretrained_path=place,
                max_frames=model.frames,
                lora_dim=o["lora_rank"],
                merge_layer=dashed(o["merge_layers"]),
                merge_frame_num=dashed(o["merge_frames"]),
                merge_token_proportion=dashed((o["cross"], o["intra"])),
                frame_pos=int(o["frame_pos"]),
                tome_r=o["img_merge"],
                tome_tracesource=False,
                tome_propattn=o["prop_attn"],
            )
        ).float()
    for name, p in net.named_parameters():
        p.requires_grad_("TVPt" in name)

    def video(v: Tensor) -> Tensor:
        real = torch.ones(v.shape[:2], dtype=torch.long, device=v.device)
        return net.get_video_feat(v.flatten(0, 1), real)

    def text(tokens: Tensor) -> Tensor:
        return net.get_text_feat(tokens, torch.ones_like(tokens))

    return Official("tempme", net, video, text)


# folder of the checkout -> (what builds it, the variant to compare)
ADAPTERS: dict[str, tuple[Callable[[Path, Model, VideoModel], Official], str]] = {
    "st-adapter": (st_adapter, "side4video/st-adapter-b16"),
    "Side4Video": (side4video, "side4video/b16-ssv2"),
    "TempMe": (tempme, "tempme/tempme-b32"),
}
