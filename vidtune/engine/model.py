"""A run's model with its pre-trained weights, and the small file that holds what was tuned."""

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidtune import methods
from vidtune.nn.task import VideoModel
from vidtune.spec import Backbone, Run, UserError

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # in OpenAI's archives


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(where: torch.device) -> str:
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    return f"cpu, {torch.get_num_threads()} threads"


def load_weights(path: Path, backbone: Backbone) -> dict[str, Tensor]:
    """A backbone's state dict in float32: a state dict file or OpenAI's TorchScript archive.

    Raises `UserError` where the file is missing, is not the published one, or cannot be read.
    """
    if not path.is_file():
        raise UserError(f"{path}: no weights of {backbone.name}; {_how_to_get(backbone)}")
    expected = backbone.weights.sha256 if backbone.weights else None
    if expected and hashlib.sha256(path.read_bytes()).hexdigest() != expected:
        raise UserError(f"{path}: sha256 is not {expected}; delete the file and download it again")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as first:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch.jit is deprecated; the archives need it
                state = torch.jit.load(str(path), map_location="cpu").state_dict()
        except Exception:
            raise UserError(
                f"{path}: not a readable weights file ({type(first).__name__}); delete it and make "
                "or download it again"
            ) from None
    return {k: v.float() for k, v in state.items() if k not in NOT_WEIGHTS}


def _how_to_get(backbone: Backbone) -> str:
    if backbone.weights is None:
        return "run `vidtune pretrain` (snakemake does)"
    w = backbone.weights
    return f"download {w.url} (sha256 {w.sha256 or 'unknown'}) to that place"


def build(run: Run, where: torch.device) -> tuple[VideoModel, set[str]]:
    """The model with its pre-trained weights, and the names of those weights in it."""
    assert run.weights is not None
    state = load_weights(Path(run.weights), run.model.backbone)
    model = methods.build(run.model, state=state)
    names = {f"clip.{k}" for k in state}
    return model.to(where), names


def tuned_state(model: nn.Module) -> dict[str, Tensor]:
    """What training changed: tuned parameters and buffers."""
    tuned = {n for n, p in model.named_parameters() if p.requires_grad}
    buffers = {n for n, _ in model.named_buffers()}
    state = model.state_dict()
    return {k: v.detach().cpu() for k, v in state.items() if k in tuned | buffers}


def load_tuned(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Strict over tuned parameters and buffers."""
    expected = set(tuned_state(model))
    if expected != set(state):
        differing = sorted(expected ^ set(state))[0]
        raise UserError(f"{path}: {differing}: not in both checkpoint and model; train again")
    model.load_state_dict(state, strict=False)


def save(path: Path, content: dict[str, Any]) -> None:
    """`torch.save` through a temporary name. Raises `UserError` where it cannot be written."""
    import io

    from vidtune.spec.read import write_bytes

    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device's or the machine's memory is full."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(w in str(error).lower() for w in words)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A file written by `save`."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; run `vidtune train` to write it") from None
    except Exception as e:
        raise UserError(
            f"{path}: not a readable checkpoint ({type(e).__name__}); delete it and train again"
        ) from None
