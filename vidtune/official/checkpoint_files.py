"""Reading the authors' checkpoint files."""

from pathlib import Path

import torch
from torch import Tensor

from vidtune.spec import UserError

# Keys under which the tensors stand: Side4Video recognition; DiST; AIM (mmcv); ST-Adapter and EVL.
CONTAINERS = ("model_state_dict", "model_state", "state_dict", "model")


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a model's tensors in float32 under the authors' names, without DistributedDataParallel's
    prefix. Raises `UserError` where the file is missing, unreadable or holds no tensors."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; give the authors' checkpoint file") from None
    except Exception as e:
        raise UserError(
            f"{path}: not a file of tensors that can be read safely ({type(e).__name__}); give the "
            "authors' checkpoint, or save its tensors alone with torch.save"
        ) from None
    for name in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: expected a dict of tensors; found {type(content).__name__}")
    other = next((k for k, v in content.items() if not isinstance(v, Tensor)), None)
    if other is not None:
        raise UserError(
            f"{path}: {other}: expected a tensor; found {type(content[other]).__name__}"
        )
    single = {k: v.float() if v.is_floating_point() else v for k, v in content.items()}
    return {k.removeprefix("module."): v for k, v in single.items()}
