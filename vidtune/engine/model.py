"""A run's model with its pre-trained weights, and the small file that holds what was tuned."""

import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidtune.data import records
from vidtune.data.text import tokenizer
from vidtune.methods.build import build_model
from vidtune.nn.task import TextRecognizer, VideoModel
from vidtune.remote import cache
from vidtune.spec import Backbone, Recipe, Run, UserError

NOT_WEIGHTS = ("input_resolution", "context_length", "vocab_size")  # in OpenAI's archives
WRAPPERS = ("model", "module", "state_dict")  # as the loader of EVA (eva_clip/factory.py) has it


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name(where: torch.device) -> str:
    if where.type == "cuda":
        return torch.cuda.get_device_name(where)
    return f"cpu, {torch.get_num_threads()} threads"


def precision(recipe: Recipe, where: torch.device) -> AbstractContextManager[Any]:
    """What a training computes in; weights stay in float32."""
    if recipe.precision == "fp32":
        return nullcontext()
    return torch.autocast(
        where.type, torch.float16 if recipe.precision == "amp16" else torch.bfloat16
    )


def load_weights(path: Path | None, backbone: Backbone) -> dict[str, Tensor]:
    """A backbone's state dict in float32: a state dict file or OpenAI's TorchScript archive.

    `path` None: the released file, from the cache.
    Raises `UserError` where the file is missing, is not the published one, or cannot be read.
    """
    released = cache.weights(backbone)
    if released:
        path = cache.find(released, path)
    elif path is None or not path.is_file():
        place = path or f"backbone {backbone.name}"
        raise UserError(
            f"{place}: no weights of {backbone.name}; run `vidtune pretrain` (snakemake does)"
        )
    content = _read(path)
    for key in WRAPPERS:
        content = content[key] if isinstance(content, dict) and key in content else content
    if not isinstance(content, dict) or not all(map(torch.is_tensor, content.values())):
        raise UserError(f"{path}: holds no named tensors; expected the weights of {backbone.name}")
    return {k: v.float() for k, v in content.items() if k not in NOT_WEIGHTS}


def _read(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as first:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch.jit is deprecated; the archives need it
                return dict(torch.jit.load(str(path), map_location="cpu").state_dict())
        except Exception:
            raise UserError(
                f"{path}: not a readable weights file ({type(first).__name__}); delete it and make "
                "or download it again"
            ) from None


def build(run: Run, where: torch.device) -> tuple[VideoModel, set[str]]:
    """The model with its pre-trained weights, and the names of those weights in it."""
    records.check_copies(run.dataset, Path(run.data))
    state = load_weights(Path(run.weights) if run.weights else None, run.model.backbone)
    model = build_model(run.model, state=state)
    names = {f"clip.{k}" for k in state}
    model.to(where)
    name_classes(model, run)
    return model, names


def name_classes(model: VideoModel, run: Run) -> None:
    """Tell a method that classifies by texts what the dataset's classes are called."""
    if isinstance(model, TextRecognizer):
        model.name_classes(_class_tokens(run))


def _class_tokens(run: Run) -> Tensor:
    """The dataset's class names without their quotes (Kinetics has some), as token ids (C, L)."""
    place = f"{run.data}/manifest.json: classes"
    names = [str(n).replace('"', "").strip() for n in records.manifest(Path(run.data))["classes"]]
    if len(names) != run.model.classes:
        raise UserError(f"{place}: expected {run.model.classes} names; found {len(names)}")
    for name in names:
        if not any(c.isalpha() for c in name):
            raise UserError(
                f"{place}: expected names in words, which {run.model.method} reads; found {name!r}; "
                "write what the classes are called"
            )
    text = run.model.backbone.text
    return tokenizer(text.vocabulary, text.context)(names)


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
