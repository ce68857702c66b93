"""Worker processes, which decode the clips of batches to come while a model computes.

What they are to decode is one stream: in a training it does not end with an epoch, so that no epoch
begins with waiting. They share every batch: a worker hands over a piece of it, a few items, and the
first batch is there as soon as all of them together have decoded it.

Shapes: B clips of a batch, T frames, S pixels.
"""

import gc
import math
from collections.abc import Generator, Iterable, Iterator
from itertools import islice, tee
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from vidtune.data.clips import Clips
from vidtune.data.order import Part
from vidtune.data.video import local_ranks, own_cores
from vidtune.data.workers import (
    SHARED_MEMORY,
    free_shared_memory,
    heed_parent,
    own_handler,
    signals_held,
)
from vidtune.spec import UserError

PIECE = 4  # items at most that a worker hands over at once; of many it would be the last one done
AHEAD = 2  # batches at least that are decoded in advance, where they have room
SHARED = 8 << 30  # bytes at most of clips in advance, of all processes of a run on a machine
# What torch says where a worker has died, or could not hand over.
LOST = ("DataLoader worker (pid", "allocate shared memory", "shared memory object")
CUT = (EOFError, ConnectionError, FileNotFoundError)  # or where it has died as it handed over


class Decoded(NamedTuple):
    """The clips of a part of a batch."""

    video: Tensor  # uint8 (B, T, 3, S, S), on the device
    rest: dict[str, list[Any]]  # every other key of an item of `Clips` -> the values of B clips


class Pace(NamedTuple):
    """How far workers run ahead: up to workers x prefetch x piece items are in shared memory."""

    workers: int
    piece: int  # items
    prefetch: int  # pieces that each worker has made, or is at, in advance


def pace(clips: Clips, batch: int) -> Pace:
    """Choose how to decode batches of `batch` items, within the bytes of shared memory.

    No more than half of what is free there is taken: other jobs may start.
    """
    free = min(SHARED, free_shared_memory() // 2) // local_ranks()
    room = free // (clips.copies * math.prod(clips.shape[1:]))  # items
    most = min(own_cores(), len(clips), max(1, room // 2))
    if not (most and room):  # this process decodes
        return Pace(0, PIECE, 1)
    piece = max(1, min(PIECE, batch // most, room // (2 * most)))
    wanted = max(2, -(-AHEAD * batch // (most * piece)))
    return Pace(most, piece, max(1, min(wanted, room // (most * piece))))


class _Pieces(Dataset[dict[str, Any]]):
    """From (epoch, items) to their clips."""

    def __init__(self, clips: Clips) -> None:
        self.clips = clips

    def __getitem__(self, piece: tuple[int, list[int]]) -> dict[str, Any]:
        self.clips.epoch, items = piece
        made = self.clips.__getitems__(items)
        # One tensor in shared memory, for each is an open file: the rest is sent as it is.
        video = default_collate([clip.pop("video") for clip in made])
        rest = {key: [clip[key] for clip in made] for key in made[0]}
        return {"video": video, "rest": rest}


def stream(
    clips: Clips, parts: Iterable[Part], batch: int, device: torch.device
) -> Generator[tuple[Part, Decoded], None, None]:
    """Yield each part with its clips, which workers decode in advance; there are `batch` items between
    two steps of the model. `parts` may be endless: close the stream to end the workers.

    Raises `UserError`, in one line, where a clip cannot be decoded or a worker was ended.
    """
    how = pace(clips, batch)
    clips.threads = max(1, own_cores() // max(1, how.workers))
    given, taken = tee(parts)
    pieces = ((p.epoch, some.tolist()) for p in given for some in p.items.split(how.piece))
    loader = DataLoader(
        _Pieces(clips),
        batch_size=None,
        sampler=pieces,
        num_workers=how.workers,
        prefetch_factor=how.prefetch if how.workers else None,
        pin_memory=device.type == "cuda",  # from where a GPU copies while it computes
        worker_init_fn=_settle,
        generator=torch.Generator(),  # else it draws from the one that methods draw from
    )
    made: Iterator[dict[str, Any]] | None = None
    problem = None
    try:
        with signals_held(), own_handler():
            made = iter(loader)
        for part in taken:
            count = -(-len(part.items) // how.piece)
            yield part, _joined(list(islice(made, count)), device)
    except (UserError, RuntimeError, *CUT) as e:
        if (problem := _explain(e)) is None:
            raise
        e.__traceback__ = None  # it holds what the workers end with
    finally:
        made = None  # the workers end with it
    if problem:
        raise UserError(problem)


def _joined(pieces: list[dict[str, Any]], device: torch.device) -> Decoded:
    video = torch.cat([piece["video"].to(device, non_blocking=True) for piece in pieces])
    rests = [piece["rest"] for piece in pieces]
    return Decoded(video, {key: [x for rest in rests for x in rest[key]] for key in rests[0]})


def _settle(worker: int) -> None:
    """In a worker: its collector leaves alone what it has in common with the process that trains, which it
    would copy by looking at it; signals are that one's."""
    gc.freeze()
    heed_parent(worker)


def _explain(error: Exception) -> str | None:
    """Return the line that says what happened in a worker, or to one; None: to none."""
    *_, last = str(error).strip().splitlines() or [""]
    if isinstance(error, UserError):  # torch puts the worker's traceback before it
        return last.split("UserError: ")[-1]
    cut = isinstance(error, CUT) and "Caught" not in str(
        error
    )  # which is torch's of a worker's own
    if not cut and not any(words in str(error) for words in LOST):
        return None
    return (
        f"a process that decodes clips has ended ({last.strip()}); the job's memory or {SHARED_MEMORY} "
        "may be full: give it more, or fewer cores"
    )
