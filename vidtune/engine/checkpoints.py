"""Files of tensors: a backbone's pre-trained weights, and the small file of what was tuned."""

import io
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidtune.remote import cache
from vidtune.spec import Backbone, UserError
from vidtune.spec.read import write_bytes

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # in OpenAI's archives
WRAPPERS = ("model", "module", "state_dict")  # as the loader of EVA (eva_clip/factory.py) has it


def load_weights(path: str | Path | None, backbone: Backbone) -> dict[str, Tensor]:
    """A backbone's state dict in float32: a state dict file or OpenAI's TorchScript archive.

    `path` None: the released file, from the cache.
    Raises `UserError` where the file is missing, is not the published one, or cannot be read.
    """
    path = Path(path) if path else None
    released = cache.weights(backbone)
    if released:
        path = cache.find(released, path)
    elif path is None or not path.is_file():
        place = path or f"backbone {backbone.name}"
        raise UserError(
            f"{place}: no weights of {backbone.name}; run `vidtune pretrain` (snakemake does)"
        )
    content = _read_weights(path)
    for key in WRAPPERS:
        content = content[key] if isinstance(content, dict) and key in content else content
    if not isinstance(content, dict) or not all(map(_is_named_tensor, content.items())):
        raise UserError(f"{path}: holds no named tensors; expected the weights of {backbone.name}")
    for name, tensor in content.items():
        if tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
            raise UserError(f"{path}: {name}: holds no values as such (meta, sparse or quantised)")
        if tensor.is_complex() or tensor.isnan().any():
            raise UserError(f"{path}: {name}: expected real numbers; found others (NaN or complex)")
    return {k: v.float() for k, v in content.items() if k not in NOT_WEIGHTS}


def _is_named_tensor(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and torch.is_tensor(item[1])


def _read_weights(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated; the archives need it
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as first:
            try:
                return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
            except Exception:
                raise UserError(
                    f"{path}: not a readable weights file ({type(first).__name__}); delete it and make "
                    "or download it again"
                ) from None


def tuned_state(model: nn.Module) -> dict[str, Tensor]:
    """What training changes: tuned parameters and buffers, on the CPU."""
    tuned = {n for n, p in model.named_parameters() if p.requires_grad}
    tuned |= {n for n, _ in model.named_buffers()}
    return {k: v.detach().cpu() for k, v in model.state_dict().items() if k in tuned}


def load_tuned(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Fill a model's tuned parameters and buffers from a checkpoint's `state`.

    Raises `UserError`, which names `path`, where one is missing or one too many.
    """
    expected = set(tuned_state(model))
    if expected != set(state):
        differing = sorted(expected ^ set(state))[0]
        raise UserError(f"{path}: {differing}: not in both checkpoint and model; train again")
    model.load_state_dict(state, strict=False)


def save(path: Path, content: dict[str, Any]) -> None:
    """`torch.save` through a temporary name. Raises `UserError` where it cannot be written."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A file written by `save`. Raises `UserError` where it is missing or cannot be read."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; run `vidtune train` to write it") from None
    except Exception as e:
        raise UserError(
            f"{path}: not a readable checkpoint ({type(e).__name__}); delete it and train again"
        ) from None
