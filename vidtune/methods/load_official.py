"""Loading the checkpoints of the authors' own code into our models.

A method whose authors released checkpoints has an `official.py` with
- `RULES`: official model name -> {regex on their whole tensor name: our tensor name or `Slot`}; the
  first match wins;
- `model(official name, Arguments) -> Model`: the model that the authors' arguments build;
- `TRUNK`, optional: the prefix of trunk tensors under OpenAI's names, where their files lack them;
- `name_of(Model) -> str`, needed where the official name is not the method's.
Loading is strict: every tensor of the file has a place, and every parameter and buffer of the model
is filled.
"""

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from vidtune.methods.build import build_model
from vidtune.nn.task import VideoModel
from vidtune.official.arguments import Arguments
from vidtune.official.tensor_names import Slot, fill, slot_of
from vidtune.spec import Model, UserError


def name_of(model: Model) -> str:
    """The official name of a model of ours. Raises `UserError` where none is released."""
    module = _modules().get(model.method)
    if module is None:
        raise _unknown(model.method)
    return module.name_of(model) if hasattr(module, "name_of") else model.method


def module_of(name: str) -> ModuleType:
    """The module that knows an official name. Raises `UserError` for an unknown one."""
    for module in _modules().values():
        if name in module.RULES:
            return module
    raise _unknown(name)


def _modules() -> dict[str, ModuleType]:
    """Method -> its `official` module, of all methods that have one."""
    names = sorted(p.parent.name for p in Path(__file__).parent.glob("*/official.py"))
    return {name: importlib.import_module(f"vidtune.methods.{name}.official") for name in names}


def _unknown(name: str) -> UserError:
    known = (name for module in _modules().values() for name in module.RULES)
    return UserError(f"official method {name!r}: unknown; known: {', '.join(known)}")


def model_of(name: str, config: Mapping[str, Any]) -> Model:
    """The model that the authors' arguments build. Arguments that do not shape it are not read.

    Raises `UserError` for an unknown name and for a missing or impossible argument.
    """
    return module_of(name).model(name, Arguments(name, config))


def load(
    name: str,
    config: Mapping[str, Any],
    state: Mapping[str, Tensor],
    backbone: Mapping[str, Tensor] | None = None,
) -> VideoModel:
    """The authors' model, in float32, with the weights of their checkpoint.

    `config` holds the authors' arguments under their names, `state` the checkpoint's tensors;
    `backbone` OpenAI's weights, for files that hold only what was tuned.
    Raises `UserError` where the tensors and the model do not fit together.
    """
    net = build_model(model_of(name, config))
    load_into(net, name, state, backbone)
    return net


def load_into(
    net: VideoModel,
    name: str,
    state: Mapping[str, Tensor],
    backbone: Mapping[str, Tensor] | None = None,
) -> None:
    """Fill a model of ours from the authors' tensors. Raises `UserError` as `load` does.

    Where their files lack the trunk, its tensors may also stand in `state`, under OpenAI's names.
    """
    trunk = getattr(module_of(name), "TRUNK", None)
    trunk_state = {k: v for k, v in state.items() if trunk and k.startswith(trunk)}
    state = {k: v for k, v in state.items() if k not in trunk_state}
    fill(net, slots_of(name, state), state, {**(backbone or {}), **trunk_state}, name)


def needs_backbone(net: VideoModel, name: str, keys: Iterable[str]) -> bool:
    """Whether some of the trunk's weights are not among a checkpoint's `keys`."""
    filled = {slot.name for slot in slots_of(name, keys).values() if slot}
    return any(k.startswith("clip.") and k not in filled for k in net.state_dict())


def slots_of(name: str, keys: Iterable[str]) -> dict[str, Slot | None]:
    """Where each of the authors' tensors belongs in our model; None: nowhere."""
    rules = module_of(name).RULES[name]
    return {key: slot_of(rules, key) for key in keys}
