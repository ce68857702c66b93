"""Goldens: what the official implementations compute, at small sizes.

`<name>.json` says how weights and large inputs are drawn; `<name>.safetensors` holds the rest.
Made by running the authors' code (repository and commit in the json) on the CPU in float32, with
every stochastic part at rate 0.
"""

import json
import os
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

HERE = Path(__file__).parents[1] / "goldens"
FOLDER = Path(os.environ.get("VIDTUNE_GOLDENS", HERE))
OUTPUT, GRADIENT, FLOOR = 1e-5, 1e-4, 1e-5  # tolerances, see `close` and `check_gradients`
VANISHING = 1e-6  # a bias's gradient below this share of its weight's is 0 but for rounding
NEAR_TIE = 1.2e-5  # margin of a merging decision below which rounding may decide it


def draw(name: str, rule: list[Any], shape: list[int], seed: int) -> np.ndarray:
    """A float64 array from NumPy's legacy generator, whose streams never change."""
    rs = np.random.RandomState((zlib.crc32(name.encode()) + seed) % 2**32)
    kind, a, b = rule
    n = int(np.prod(shape))
    values = rs.standard_normal(n) if kind == "normal" else rs.random_sample(n)
    return (a + b * values).reshape(shape)


def drawn(name: str, entry: dict[str, Any], seed: int) -> Tensor:
    if "values" in entry:
        return torch.tensor(entry["values"]).reshape(entry["shape"])
    return torch.from_numpy(draw(name, entry["rule"], entry["shape"], seed).astype(np.float32))


@dataclass
class Golden:
    description: dict[str, Any]
    tensors: dict[str, Tensor]
    weights: dict[str, Tensor] = field(default_factory=dict)
    inputs: dict[str, Tensor] = field(default_factory=dict)

    @property
    def method(self) -> str:
        return self.description["method"]

    @property
    def config(self) -> dict[str, Any]:
        return self.description["config"]

    @property
    def seed(self) -> int:
        return self.description["seed"]

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors below a prefix, without it."""
        return {k[len(prefix) :]: v for k, v in self.tensors.items() if k.startswith(prefix)}


def names(folder: Path = FOLDER) -> list[str]:
    """The goldens of a folder. None at all is a failure of whoever asks."""
    return sorted(path.stem for path in folder.glob("*.json"))


def description(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text())


def read(name: str, folder: Path = FOLDER) -> Golden:
    content = description(name, folder)
    golden = Golden(content, load_file(folder / f"{name}.safetensors"))
    if "seed" in content:
        seed = content["seed"]
        golden.weights = {
            k: drawn(f"weights/{k}", v, seed) for k, v in content.get("weights", {}).items()
        }
        golden.inputs = {
            k: drawn(f"input/{k}", v, seed) for k, v in content.get("seeded_inputs", {}).items()
        }
        golden.inputs |= golden.under("input/")
    return golden


def close(ours: Tensor, reference: Tensor, what: str) -> None:
    """Within 1e-5 of the reference, or of its size where that is above 1."""
    assert ours.shape == reference.shape, f"{what}: {tuple(ours.shape)}, {tuple(reference.shape)}"
    ours, reference = ours.detach().double(), reference.double()
    excess = (ours - reference).abs() - OUTPUT * reference.abs().clamp(min=1)
    assert excess.max() <= 0, f"{what}: off by up to {(ours - reference).abs().max():.2e}"


def check_gradients(golden: Golden, gradients: dict[str, Tensor]) -> None:
    """Ours (official names) against whole gradients, or norm and two directions of them.

    |g - ref| <= 1e-4 |ref| + `_floor` of the tensor.
    """
    whole, sums = golden.under("grad/"), golden.under("gradsum/")
    norms = {k: g.double().norm() for k, g in whole.items()}
    norms |= {k: s[0].double() for k, s in sums.items()}
    zero = set(golden.description["zero_grad"])
    assert set(gradients) | zero == set(whole) | set(sums) | zero
    for key, ours in gradients.items():
        ours, floor = ours.double(), _floor(key, norms)
        if key in zero:  # exactly in their order of summation; in ours perhaps but for rounding
            assert ours.norm() <= floor, f"{key}: gradient {ours.norm():.2e}, not 0"
            continue
        if key in whole:
            error = (ours - whole[key].double()).norm()
            assert error <= GRADIENT * norms[key] + floor, f"{key}: gradient off by {error:.2e}"
            continue
        for value, reference in zip(_sums(golden, key, ours), sums[key].tolist(), strict=True):
            error = abs(value - reference)
            assert error <= GRADIENT * sums[key][0] + floor, f"{key}: gradient off by {error:.2e}"


def _floor(key: str, norms: dict[str, Tensor]) -> float:
    """The error that rounding alone may cause: 1e-5 of the golden's median gradient norm.

    The gradient of a bias that vanishes analytically, as before a BatchNorm, is a sum of terms that
    cancel: its rounding grows with the terms. There it may be 1e-5 of the same layer's weight's.
    """
    floor = FLOOR * torch.stack(list(norms.values())).median().item()
    weight = norms.get(f"{key.removesuffix('bias')}weight") if key.endswith("bias") else None
    if weight is None or norms.get(key, torch.zeros(())) > VANISHING * weight:
        return floor
    return max(floor, FLOOR * weight.item())


def _sums(golden: Golden, key: str, gradient: Tensor) -> list[float]:
    shape = golden.description["weights"][key]["shape"]
    directions = [
        torch.from_numpy(draw(f"direction{i}/{key}", ["normal", 0, 1], shape, golden.seed))
        for i in (0, 1)
    ]
    flat = gradient.reshape(-1)
    return [flat.norm().item(), *((flat @ d.reshape(-1)).item() for d in directions)]
