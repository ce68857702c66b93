"""The gradients of one step of every method, on a batch that is split: python -m helpers.split_steps OUT,
in one process for each rank."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from helpers.common import REPO
from helpers.zoo import CLASSES, MODELS, stirred, texts, videos
from vidtune.cli.launch import free_port
from vidtune.data.batches import Batch, Split
from vidtune.engine import ranks
from vidtune.engine.step import Step
from vidtune.nn.rows import RowModule, Rows
from vidtune.spec import Model, Recipe

CPU = torch.device("cpu")
CLIPS, GROUP = 4, 2
SHARES = next(m for m in MODELS if m.method == "clip4clip")


def step_of(
    m: Model, work: Split, shared: bool = False
) -> tuple[float, dict[str, Tensor], dict[str, Tensor]]:
    """Loss, gradients and buffers after one step's gradients, in double precision. `shared`: the
    similarity uses a parameter of an encoder too."""
    recipe = {"name": "x", "task": m.task, "lr": 1.0, "weight_decay": 0.0, "steps": 1}
    recipe |= {"batch": CLIPS, "group": GROUP}
    net = stirred(m).double().train()
    if any(isinstance(x, RowModule) and x.mixes for x in net.modules()):
        work = replace(work, groups=CLIPS // (GROUP * work.ranks * work.parts))
    if shared:
        similarity, weight = net.similarity, net.clip.text_projection
        net.similarity = lambda *features: similarity(*features) * (1 + weight.mean())
    step = Step(net, set(), Recipe.model_validate(recipe), CPU)
    loss = step.gradients(iter(batches(m, work)), work, net.at_once)
    gradients = {n: p.grad for n, p in net.named_parameters() if p.grad is not None}
    return loss, gradients, dict(net.named_buffers())


def batches(m: Model, work: Split) -> list[Batch]:
    video, tokens, labels = videos(CLIPS).double(), texts(CLIPS), torch.arange(CLIPS) % CLASSES
    target = labels if m.task == "recognition" else tokens
    parts = []
    for piece in range(work.pieces):
        mine = work.of(CLIPS, piece)
        rows = Rows(torch.arange(CLIPS)[mine], first=work.rank == piece == 0)
        parts.append(Batch((video[mine],), target[mine], {}, rows))
    return parts


def in_processes(module: str, ranks: int, *words: object) -> None:
    """Run a module of these helpers in that many processes, one rank each."""
    places, port, processes = f"{REPO}{os.pathsep}{REPO / 'tests'}", free_port(), []
    for rank in range(ranks):
        own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
        own |= {"MASTER_ADDR": "127.0.0.1", "PYTHONPATH": places, "OMP_NUM_THREADS": 1}
        command = [sys.executable, "-m", module, *map(str, words)]
        env = os.environ | {k: str(v) for k, v in own.items()}
        processes.append(subprocess.Popen(command, env=env))
    assert [process.wait(timeout=300) for process in processes] == [0] * ranks


def main(words: Sequence[str]) -> None:
    torch.set_num_threads(1)
    ranks.start(CPU)
    mine = Split(ranks.rank(), ranks.count())
    found = [step_of(m, mine) for m in MODELS] + [step_of(SHARES, mine, shared=True)]
    if ranks.rank() == 0:
        torch.save(found, Path(words[0]))
    ranks.wait()
    ranks.end()


if __name__ == "__main__":
    main(sys.argv[1:])
