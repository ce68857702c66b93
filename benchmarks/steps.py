"""Seconds of one training step at mini scale, on this machine, for each method.

Where a model's frozen part can be kept, the step with kept features stands beside the step that
computes them again: `python benchmarks/steps.py`.
"""

import statistics
import time
from collections.abc import Callable

import torch

from vidtune.engine.step import objective
from vidtune.methods.build import build_model
from vidtune.nn.pixels import normalise
from vidtune.nn.task import VideoModel
from vidtune.plan import load
from vidtune.spec import Run

REPEAT, WARM_UP = 20, 3


def step(model: VideoModel, inputs: tuple[torch.Tensor, ...], target: torch.Tensor) -> None:
    """Forward and backward."""
    objective(model, model(*inputs), target).backward()


def seconds(call: Callable[[], None]) -> float:
    """Median over `REPEAT` calls after `WARM_UP`."""
    times = []
    for _ in range(WARM_UP + REPEAT):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times[WARM_UP:])


def bench(run: Run) -> tuple[float, float | None]:
    """(step from pixels, step from kept features or None) in seconds."""
    torch.manual_seed(0)
    m, batch = run.model, run.recipe.batch
    model = build_model(m).train()
    size = m.backbone.image
    pixels = torch.randint(0, 256, (batch, m.frames, 3, size, size), dtype=torch.uint8)
    words = torch.randint(3, m.backbone.text.vocab_size, (batch, m.max_words))
    target = words if m.task == "retrieval" else torch.zeros(batch, dtype=torch.long)
    whole = seconds(lambda: step(model, model.prepare(normalise(pixels)), target))
    if not model.cacheable:
        return whole, None
    kept = model.prepare(normalise(pixels))
    return whole, seconds(lambda: step(model, kept, target))


def main() -> None:
    plan = load("config", {"scale": "mini"})
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, median of {REPEAT}")
    print(f"{'variant':44} {'from pixels':>12} {'features kept':>14}")
    done = set()
    for run in plan.runs.values():
        if run.model.name not in done:
            done.add(run.model.name)
            whole, kept = bench(run)
            print(
                f"{run.model.name:44} {whole:10.4f} s " + (f"{kept:12.4f} s" if kept else " " * 14)
            )


if __name__ == "__main__":
    main()
