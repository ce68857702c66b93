"""Checkpoints of the authors' own code, loaded into our models.

A method's module says how the authors' arguments become a `vidtune.spec.Model` (`model`) and where
each of their tensors belongs (`RULES`). Loading is strict: every tensor of the file has a place,
and every parameter and buffer of the model is filled.
"""

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from vidtune import methods, spec
from vidtune.nn.task import VideoModel
from vidtune.official.arguments import Arguments
from vidtune.official.checkpoint_files import read
from vidtune.official.tensor_names import Place, fill, places

# What the authors' models are called here -> the module that knows them.
MODULES = {
    "aim": "aim",
    "clip4clip": "clip4clip",
    "dist": "dist",
    "evl": "evl",
    "side4video_recognition": "side4video",
    "side4video_retrieval": "side4video",
    "side4video_eva": "side4video",
    "side4video_eva_retrieval": "side4video",
    "st_adapter": "st_adapter",
    "tempme": "tempme",
}


def name_of(model: spec.Model) -> str:
    """What the authors' code of a model of ours is called here. `UserError`: none is released."""
    name = model.method
    if name == "side4video":
        eva = "_eva" if model.backbone.arch == "eva" else ""
        plain = "" if eva else "_recognition"
        name += eva + ("_retrieval" if model.task == "retrieval" else plain)
    _module(name)
    return name


def _module(method: str) -> Any:
    if method not in MODULES:
        raise spec.UserError(f"official method {method!r}: unknown; known: {', '.join(MODULES)}")
    return importlib.import_module(f"{__name__}.{MODULES[method]}")


def model_of(method: str, config: Mapping[str, Any]) -> spec.Model:
    """What the authors' arguments build. Arguments that do not shape the model are not read.

    Raises `UserError` for an unknown method and for a missing or impossible argument.
    """
    return _module(method).model(method, Arguments(method, config))


def load(
    method: str,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    backbone: Mapping[str, Tensor] | None = None,
) -> VideoModel:
    """The authors' model, in float32, with the weights of their checkpoint.

    `config` holds the authors' arguments under their names, `state` the checkpoint's tensors;
    `backbone` OpenAI's weights, for files that hold only what was tuned.
    Raises `UserError` where the tensors and the model do not fit together.
    """
    net = methods.build(model_of(method, config))
    load_into(net, method, state, backbone)
    return net


def load_into(
    net: VideoModel,
    method: str,
    state: Mapping[str, Tensor],
    backbone: Mapping[str, Tensor] | None = None,
) -> None:
    """Fill a model of ours from the authors' tensors. Raises `UserError` as `load` does.

    Where their files lack the trunk, its tensors may also stand in `state`, under OpenAI's names.
    """
    trunk = getattr(_module(method), "TRUNK", None)
    apart = {k: v for k, v in state.items() if trunk and k.startswith(trunk)}
    state = {k: v for k, v in state.items() if k not in apart}
    fill(net, places_of(method, state), state, {**(backbone or {}), **apart}, method)


def needs_backbone(net: VideoModel, method: str, keys: Iterable[str]) -> bool:
    """Whether some of the trunk's weights are not among a checkpoint's `keys`."""
    names = {place.name for place in places_of(method, keys).values() if place}
    return any(k.startswith("clip.") and k not in names for k in net.state_dict())


def places_of(method: str, keys: Iterable[str]) -> dict[str, Place | None]:
    """Where each of the authors' tensors belongs in our model; None: it has no place."""
    return places(_module(method).RULES[method], keys)


__all__ = [
    "Place",
    "load",
    "load_into",
    "model_of",
    "name_of",
    "needs_backbone",
    "places_of",
    "read",
]
