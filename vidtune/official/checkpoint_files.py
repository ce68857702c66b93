"""Reading the authors' checkpoint files: their tensors, and nothing that runs.

Beside the tensors lie scores, arguments and paths. `UNREAD` names the types that do no harm; none of
them is made: a stand-in takes each one's place. A file with any other type is refused.
"""

import re
import stat
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidtune.spec import UserError

# Keys under which the tensors stand: Side4Video recognition; DiST; AIM (mmcv); ST-Adapter and EVL.
CONTAINERS = ("model_state_dict", "model_state", "state_dict", "model")
UNREAD = (
    "argparse.Namespace",
    "numpy.dtype",
    "numpy.ndarray",
    *(
        f"numpy.{core}.multiarray.{name}"
        for core in ("core", "_core")
        for name in ("scalar", "_reconstruct")
    ),
    *(f"pathlib{module}.{kind}Path" for module in ("", "._local") for kind in ("Posix", "Windows")),
)


class Metadata:
    """Stands for a value that is no tensor."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read a model's tensors in float32 under the authors' names, without DistributedDataParallel's
    prefix. Raises `UserError` where the file is missing, unreadable or holds no tensors."""
    content = _load(path)
    for name in CONTAINERS:
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict) or not content:
        raise UserError(f"{path}: expected a dict of tensors; found {type(content).__name__}")
    state = {}
    for name, tensor in content.items():
        if not isinstance(name, str):
            raise UserError(f"{path}: expected the names of tensors; found {name!r}")
        state[name.removeprefix("module.")] = _checked(path, name, tensor)
    if len(state) < len(content):
        raise UserError(f"{path}: tensors of one name with and without module.; keep one of each")
    return state


def _load(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pickle's protocol
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                raise UserError(f"{path}: is no file; give the authors' checkpoint file")
            with torch.serialization.safe_globals([(Metadata, name) for name in UNREAD]):
                return torch.load(path, map_location="cpu", weights_only=True)
        except UserError:
            raise
        except OSError as e:
            raise UserError(f"{path}: {e.strerror}; give the authors' checkpoint file") from None
        except Exception as e:  # a damaged file raises anything
            unknown = re.search(r"GLOBAL ([\w.]+)", str(e))
            why = f"it holds a {unknown[1]}" if unknown else type(e).__name__
            raise UserError(
                f"{path}: not a file of tensors that can be read safely ({why}); give the "
                "authors' checkpoint, or save its tensors alone with torch.save"
            ) from None


def _checked(path: Path, name: str, tensor: Any) -> Tensor:
    """A tensor, in float32 where it is of another precision. Raises `UserError`."""
    if not isinstance(tensor, Tensor):
        raise UserError(f"{path}: {name}: expected a tensor; found {type(tensor).__name__}")
    if (
        tensor.layout != torch.strided
        or tensor.is_meta
        or tensor.is_quantized
        or tensor.is_complex()
    ):
        raise UserError(
            f"{path}: {name}: expected real numbers, all of them; found a tensor that is sparse, "
            "quantized, complex or without its numbers; save it as an ordinary one"
        )
    return tensor.float() if tensor.is_floating_point() else tensor
