"""Clips of generated videos, decoded once for all jobs: `<set>/decoded/<key>.npy`.

Many runs of a scale read the same frames of the same few clips. A file holds what `read_all` gives,
and then its CRC-32 in 4 bytes. Its name is a hash of all that decides the frames: files of other
videos, of another way to take frames, or of other code are never read. They go when room is needed,
those first that were used longest ago.

Shapes: T frames, S pixels of the side.
"""

import hashlib
import json
import os
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from vidtune import provenance
from vidtune.data.clips import Clips, read_all
from vidtune.spec import UserError
from vidtune.spec.read import write_bytes

FOLDER_BYTES = 2 << 30  # of all files of a set
FILE_BYTES = FOLDER_BYTES // 4  # clips that take more are decoded each time
CRC_BYTES = 4


def read_kept(clips: Clips, label: str, data: Path) -> Tensor:
    """Return what `read_all` does, uint8 (records, T, 3, S, S): kept in `data`, or to be kept there.

    Two jobs at once decode twice and write the same. A file that is damaged or cut short is made
    again; where none can be written, every job decodes.
    """
    path = data / "decoded" / f"{_key(clips)}.npy"
    videos = _load(path, clips.shape)
    if videos is None:
        videos = read_all(clips, label)
        if videos.nbytes <= FILE_BYTES:
            _make_room(path.parent, videos.nbytes)
            with suppress(UserError):
                write_bytes(path, _pack(videos))
    return videos


def _key(clips: Clips) -> str:
    """Hash the videos (an edited one has another size or time), the rule, the versions, the code."""
    facts = [(r.path.stat(), r) for r in clips.records]
    what = {
        "videos": [(r.id, r.frames, r.fps, f.st_size, f.st_mtime_ns) for f, r in facts],
        "taken": [clips.recipe.frame_rule(), clips.shape],
        "versions": [av.library_versions, av.__version__, np.__version__, torch.__version__],
        "code": provenance.digest("vidtune.data.clips"),
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:16]


def _pack(videos: Tensor) -> bytes:
    file = BytesIO()
    np.save(file, videos.numpy())
    file.write(zlib.crc32(videos.numpy()).to_bytes(CRC_BYTES, "little"))
    return file.getvalue()


def _load(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    """Map a file into memory, where changes stay private; None: there is none, or it is damaged."""
    try:
        videos = np.lib.format.open_memmap(path, mode="c")
        with path.open("rb") as file:
            file.seek(-CRC_BYTES, os.SEEK_END)
            crc = int.from_bytes(file.read(), "little")
    except (OSError, ValueError):
        return None
    if (videos.shape, videos.dtype) != (shape, np.uint8) or zlib.crc32(videos) != crc:
        return None
    with suppress(OSError):
        os.utime(path)  # used now
    return torch.from_numpy(videos)


def _make_room(folder: Path, needed: int) -> None:
    """Delete the files used longest ago, until `needed` bytes fit into the folder; among them are what
    writers that were killed have left."""
    with suppress(OSError):  # another job may do the same
        files = sorted((f.stat().st_mtime, f.stat().st_size, f) for f in folder.glob("*.npy*"))
        left = sum(size for _, size, _ in files)
        for _, size, file in files:
            if left + needed <= FOLDER_BYTES:
                break
            file.unlink()
            left -= size
