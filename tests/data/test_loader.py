"""What workers decode in advance: in which pieces, how much, and what becomes of the workers."""

import multiprocessing
import os
import signal
import subprocess
from collections import namedtuple
from contextlib import closing
from itertools import count, islice
from pathlib import Path

import pytest
import torch
from helpers.generated import recipe

from vidtune.data import loader, records, video
from vidtune.data.clips import Clips
from vidtune.data.loader import pace, stream
from vidtune.data.order import Part
from vidtune.data.video import cores
from vidtune.spec import UserError

CPU = torch.device("cpu")
MIB, GIB = 1 << 20, 1 << 30


class Marked(Clips):
    """In place of a caption an item has the process that decoded it."""

    def __getitems__(self, items):
        return [clip | {"caption": os.getpid()} for clip in super().__getitems__(items)]


@pytest.fixture
def two_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "own_cores", lambda: 2)


def clips_of(data: Path, kind: type[Clips] = Clips) -> Clips:
    rows = records.read(data, "train")
    return kind(rows, recipe(random_train_frames=True, sampler="segments"), 4, 32, True, seed=0)


def epochs(clips: Clips, size: int = 4) -> list[Part]:
    items = torch.arange(len(clips)).split(size)
    return [Part(part, epoch) for epoch in range(3) for part in items]


def test_the_same_workers_decode_pieces_of_every_batch_of_all_epochs(made: Path, two_workers):
    clips = clips_of(made, Marked)
    parts, seen, plain = epochs(clips), set(), clips_of(made)
    with closing(stream(clips, parts, 4, CPU)) as made_parts:
        for part, (video, rest) in made_parts:
            plain.epoch = part.epoch
            expected = plain.__getitems__(part.items.tolist())
            assert torch.equal(video, torch.stack([one["video"] for one in expected]))
            assert rest["label"] == [one["label"] for one in expected]
            assert rest["index"] == part.items.tolist()
            seen |= set(rest["caption"])
            if len(part.items) == 4:
                assert len(set(rest["caption"])) == 2  # they share it
    assert len(seen) == 2 and os.getpid() not in seen


def test_a_stream_without_end_leaves_no_worker(made: Path, two_workers):
    clips = clips_of(made, Marked)
    endless = (Part(torch.arange(4), epoch) for epoch in count())
    with closing(stream(clips, endless, 4, CPU)) as made_parts:
        (_, (_, rest)), _ = islice(made_parts, 2)
        assert all(Path(f"/proc/{pid}").exists() for pid in rest["caption"])
    assert not any(Path(f"/proc/{pid}").exists() for pid in rest["caption"])


def test_workers_that_a_scheduler_signals_work_on(made: Path, two_workers):
    clips = clips_of(made, Marked)
    endless = (Part(torch.arange(4), epoch) for epoch in count())
    with closing(stream(clips, endless, 4, CPU)) as made_parts:
        _, (_, rest) = next(made_parts)
        for pid in set(rest["caption"]):
            subprocess.run(["kill", "-TERM", str(pid)], check=True)  # not by this process
            subprocess.run(["kill", "-USR1", str(pid)], check=True)
        later = [rest["caption"] for _, (_, rest) in islice(made_parts, 12)]
    assert set(later[-1]) == set(rest["caption"])


def test_a_worker_that_is_killed_is_one_line(made: Path, two_workers):
    clips = clips_of(made, Marked)
    endless = (Part(torch.arange(4), epoch) for epoch in count())
    said = r"^a process that decodes clips has ended \(.*give it more"
    made_parts = stream(clips, endless, 4, CPU)
    with pytest.raises(UserError, match=said), closing(made_parts):
        _, (_, rest) = next(made_parts)
        os.kill(rest["caption"][0], signal.SIGKILL)
        for _ in made_parts:
            pass
    assert not any(Path(f"/proc/{pid}").exists() for pid in rest["caption"])


def test_a_video_that_a_worker_cannot_decode_is_one_line(copy: Path, two_workers):
    clips = clips_of(copy)
    path = clips.records[5].path
    (copy / "videos").unlink()
    path.parent.mkdir()
    with pytest.raises(UserError) as error:
        list(stream(clips, epochs(clips), 4, CPU))
    assert not multiprocessing.active_children()
    assert len(str(error.value).splitlines()) == 1 and "train_0000" in str(error.value)


Disk = namedtuple("Disk", "free")
CLIP = 8 * 3 * 224 * 224  # bytes


@pytest.mark.parametrize(
    ("cpus", "ranks", "batch", "frames", "free", "expected"),
    [
        (8, 1, 256, 8, 64 * GIB, (8, 4, 16)),  # two batches in advance
        (64, 1, 256, 8, 64 * GIB, (64, 4, 2)),
        (64, 8, 32, 8, 64 * GIB, (8, 4, 2)),  # a rank's share of cores and clips
        (64, 1, 8, 8, 64 * GIB, (64, 1, 2)),
        (1, 4, 8, 8, 64 * GIB, (1, 4, 4)),
        (64, 1, 128, 64, 64 * GIB, (64, 2, 2)),
        (64, 1, 128, 64, 4 * GIB, (64, 1, 3)),
        (64, 1, 128, 64, 64 * MIB, (1, 1, 3)),  # as in a container of Docker: one worker
        (64, 1, 128, 64, 0, (0, 4, 1)),  # the training itself decodes
    ],
)
def test_what_is_in_advance_fits_into_shared_memory(
    cpus, ranks, batch, frames, free, expected, made, monkeypatch
):
    monkeypatch.setattr(video, "cores", lambda: cpus)
    monkeypatch.setattr("shutil.disk_usage", lambda _: Disk(free))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(ranks))
    rows = records.read(made, "train") * 1000
    how = pace(Clips(rows, recipe(), frames, 224, train=True, seed=0), batch)
    assert how == expected
    in_advance = how.workers * how.prefetch * how.piece * CLIP * frames // 8
    room = min(free // 2, loader.SHARED) // ranks
    assert in_advance <= room


def test_no_more_workers_than_clips(made: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(video, "cores", lambda: 64)
    clips = clips_of(made)
    assert pace(clips, 4).workers == len(clips) < 64


def test_a_job_has_the_cores_that_its_scheduler_or_lease_gives_it(monkeypatch: pytest.MonkeyPatch):
    for name in video.SHARES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert cores() == 64
    monkeypatch.setenv("VIDTUNE_CORES", "16")
    assert cores() == 16
    monkeypatch.setenv("NSLOTS", "12")  # of SGE
    assert cores() == 12
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    assert cores() == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert cores() == 2
