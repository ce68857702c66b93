"""Random weights in the form in which a backbone's are released."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from vidtune.nn.clip import CLIP
from vidtune.spec import Backbone


class Archive(nn.Module):
    """A tree of modules with the parameters of a state dict, which TorchScript can keep."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        for name, value in state.items():
            *folders, last = name.split(".")
            place: nn.Module = self
            for folder in folders:
                if folder not in dict(place.named_children()):
                    place.add_module(folder, nn.Module())
                place = dict(place.named_children())[folder]
            if value.is_floating_point():
                place.register_parameter(last, nn.Parameter(value, requires_grad=False))
            else:
                place.register_buffer(last, value)


def write_openai(path: Path, backbone: Backbone) -> Path:
    """OpenAI's TorchScript archive in half precision, with its three numbers that are no weights."""
    torch.manual_seed(0)
    state = {k: v.half() for k, v in CLIP(backbone).state_dict().items()}
    text = backbone.text
    state |= {
        "input_resolution": torch.tensor(backbone.image),
        "context_length": torch.tensor(text.context),
        "vocab_size": torch.tensor(text.vocab_size),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit is deprecated
        torch.jit.script(Archive(state)).save(str(path))
    return path
