"""Clips that workers decode while a training goes on, and features that are kept where clips do not fit."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import pytest
import torch
from helpers.common import REPO

from vidtune.data import batches, clips, loader
from vidtune.data.batches import Batches, Split
from vidtune.data.order import shuffled
from vidtune.engine.build_run import build_run
from vidtune.engine.checkpoints import load_checkpoint
from vidtune.engine.features import remember
from vidtune.engine.train import train
from vidtune.nn.rows import mix
from vidtune.spec import Run, write_json

CPU = torch.device("cpu")
RECOGNITION, RETRIEVAL = "side4video/b16-ssv1@0", "side4video/clip4clip-b32-msrvtt@0"


def expected(run: Run, step: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Clips, keys and labels of a whole batch, read by this process one after another."""
    data = Batches(run, "train", True, CPU)
    epoch, number = divmod(step, 3)  # 24 clips, 8 a step
    data.clips.epoch = epoch
    order = shuffled([[item] for item in range(24)], run.seed, epoch)
    items = order[8 * number : 8 * number + 8]
    read = [data.clips[item] for item in items.tolist()]
    keys = mix(run.seed, epoch, items[:, None], torch.arange(1)).flatten()
    return torch.stack([x["video"] for x in read]), keys, torch.tensor([x["label"] for x in read])


@pytest.mark.parametrize("how", ["random", "fixed", "kept"])
@pytest.mark.parametrize("work", [Split(), Split(1, 2, 1), Split(0, 2, 2)])
def test_the_same_clips_come_whoever_decodes_them_and_wherever_it_begins(
    how: str, work: Split, short_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
):
    """Two and a half epochs, from their start, from the middle of one and from the last step of one."""
    run = short_run(RECOGNITION, random_train_frames=how == "random", group=2)
    if how == "fixed":
        monkeypatch.setattr(batches, "KEEP", 0)
    monkeypatch.setattr(loader, "own_cores", lambda: 2)
    wanted = [expected(run, step) for step in range(8)]
    data = Batches(run, "train", True, CPU, work)
    assert (data.videos is None) == (how != "kept")
    for start in (0, 1, 2):
        with closing(data.from_step(start)) as stream:
            pieces = list(islice(stream, (8 - start) * data.work.pieces))
        for k, part in enumerate(pieces):
            step, nth = divmod(k, data.work.pieces)
            mine = data.work.of(8, nth)
            video, keys, labels = (x[mine] for x in wanted[start + step])
            assert torch.equal(part.clips[0], video) and torch.equal(part.target, labels)
            assert torch.equal(part.rows.keys, keys)
            assert part.rows.first == (work.rank == 0 and nth == 0)


def frozen(run: Run) -> Run:
    """CLIP4Clip of which the vision tower is not tuned."""
    options = {**run.model.options, "frozen_vision": True}
    return run.model_copy(update={"model": run.model.model_copy(update={"options": options})})


def with_captions(run: Run, folder: Path) -> Run:
    """The run on a copy of its data in which every third clip has one caption, others two and three."""
    data = Path(shutil.copytree(run.data, folder))
    rows = [json.loads(line) for line in (data / "train.jsonl").read_text().splitlines()]
    for k, row in enumerate(rows):
        row["captions"] = [c + " moving" * n for c in row["captions"] for n in range(1 + k % 3)]
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run.model_copy(update={"data": str(data)})


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids of the clips that are decoded, all of them by this process."""
    ids: list[str] = []
    read = clips.read_frames
    monkeypatch.setattr(clips, "read_frames", lambda p, *a: ids.append(p.stem) or read(p, *a))
    monkeypatch.setattr(loader, "own_cores", lambda: 0)
    return ids


def test_a_frozen_trunk_sees_every_video_once(short_run, tmp_path, reads, monkeypatch):
    """Also where the clips are too many to be kept; its numbers are those of clips that are streamed."""
    run = frozen(short_run(RETRIEVAL, sampler="clip4clip", fps=2.0))
    run = with_captions(run, tmp_path / "data")
    model, _ = build_run(run, CPU)
    whole = Batches(run, "train", True, CPU)
    assert len(whole.targets) == 48 and len(whole.videos) == 24
    monkeypatch.setattr(batches, "KEEP", whole.videos.nbytes // 4)
    streamed, kept = (Batches(run, "train", True, CPU) for _ in range(2))
    assert streamed.videos is None
    reads.clear()
    assert remember(model, kept) and len(reads) == len(set(reads)) == 24
    assert [len(x) for x in kept.features] == [24]
    reads.clear()
    steps = 9  # one and a half epochs
    pairs = [list(islice(data.from_step(0), steps)) for data in (kept, streamed)]
    assert len(reads) == steps * 8
    for ours, theirs in zip(*pairs, strict=True):
        assert torch.equal(ours.target, theirs.target)
        assert torch.equal(ours.masks["mask"], theirs.masks["mask"])
        torch.testing.assert_close(ours.clips, model.prepare(*theirs.inputs))
    monkeypatch.setattr(batches, "KEEP", kept.features[0].nbytes - 1)
    reads.clear()
    assert not remember(model, streamed) and not reads


@pytest.mark.parametrize(("tuned", "times"), [(False, 1), (True, 3)])
def test_a_training_decodes_what_it_cannot_keep(
    tuned, times, short_run, tmp_path, reads, monkeypatch
):
    """A frozen trunk's videos once, a tuned one's in every epoch."""
    run = short_run(RETRIEVAL, steps=9)
    run = run if tuned else frozen(run)
    monkeypatch.setattr(batches, "KEEP", 1 << 18)  # 24 clips take more, features less
    train(run, tmp_path / "model.pt")
    assert len(reads) == 24 * times
    monkeypatch.undo()
    train(run, tmp_path / "kept" / "model.pt")
    ours, theirs = (load_checkpoint(p / "model.pt")["state"] for p in (tmp_path, tmp_path / "kept"))
    for key in ours:
        torch.testing.assert_close(ours[key], theirs[key], rtol=1e-4, atol=1e-5)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(pid) for pid in children.split()]


@pytest.mark.parametrize("to_all", [True, False])
def test_a_stopped_training_leaves_a_snapshot_and_no_worker(to_all, short_run, tmp_path):
    """SLURM sends SIGTERM to all processes of a job, a user to one."""
    run = short_run(RECOGNITION, steps=100_000, random_train_frames=True)
    write_json(tmp_path / "spec.json", run)
    out = tmp_path / "x" / "model.pt"
    given = ["train", "--spec", str(tmp_path / "spec.json"), "--out", str(out)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vidtune", *given], cwd=REPO, env=env, start_new_session=True
    )
    try:
        while not (found := workers_of(process)):
            assert process.poll() is None
            time.sleep(0.1)
        time.sleep(1)
        (os.killpg if to_all else os.kill)(process.pid, signal.SIGTERM)
        assert process.wait(timeout=120) == 75
        assert (out.parent / "resume.pt").exists()
        assert found and not any(Path(f"/proc/{pid}").exists() for pid in found)
    finally:
        process.kill()
