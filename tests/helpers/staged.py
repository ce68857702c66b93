"""Small archives, and datasets of a few files, for the tests of the stages."""

import io
import tarfile
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from helpers import videos
from helpers.served import Server
from vidtune.datasets import extract
from vidtune.spec import Dataset, Source, UserError

VIDEOS = {f"videos/{i}.mp4": bytes([i]) * (1000 + i) for i in range(5)}
LISTS = {"lists/train.csv": b"id\n1\n", "lists/test.csv": b"id\n2\n"}
Truth = dict[str, dict[str, tuple[str, ...] | str]]  # split -> id -> captions, or the label


@dataclass
class Miniature:
    """A real dataset with a handful of clips."""

    files: dict[str, bytes]  # downloads by name
    truth: Truth
    frames: int = 9  # of every clip
    absent: dict[str, int] = field(default_factory=dict)  # split -> clips without a video
    classes: tuple[str, ...] = ()
    expected: dict[str, int] = field(default_factory=dict)  # where it is not the number of clips


@cache
def video(
    extension: str = "mp4",
    frames: int = 9,
    rate: int = 25,
    size: tuple[int, int] = (32, 32),
    first: int = 0,
) -> bytes:
    codec, extra = {
        "webm": ("libvpx-vp9", {"deadline": "realtime"}),
        "avi": ("mpeg4", {"bf": "0"}),
    }.get(extension, ("libx264", {}))
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"v.{extension}"
        videos.write(path, frames, size, codec, rate, first=first, **extra)
        return path.read_bytes()


def ids(lines: Iterable[str], end: str = "\n") -> bytes:
    return "".join(line + end for line in lines).encode()


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", **extra: tarfile.TarInfo) -> bytes:
    """A tar of files, and of members without content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for name, data in files.items():
            t.addfile(member(name, size=len(data)), io.BytesIO(data))
        for info in extra.values():
            t.addfile(info)
    return out.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


def parts(data: bytes, name: str, count: int = 3) -> dict[str, bytes]:
    step = -(-len(data) // count)
    return {f"{name}{i:02d}": data[i * step : (i + 1) * step] for i in range(count)}


def dataset(*sources: Source) -> Dataset:
    return Dataset(name="d", task="retrieval", sources=sources)


def source(server: Server | None, file: str, **fields: object) -> Source:
    url = server.url(f"whole/{file}") if server else "https://example.org/f"
    return Source.model_validate({"file": file, "holds": "videos", "url": url, **fields})


GATED = Source(
    file="part-??",
    holds="videos",
    gated=True,
    steps=("accept the licence at https://example.org", "download all parts"),
    joined="part-??",
)


def brought(root: Path, **files: bytes) -> None:
    (root / "downloads").mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (root / "downloads" / name.replace("__", ".")).write_bytes(data)


def tree(root: Path) -> dict[str, bytes]:
    """Every file below raw/ and annotations/, hidden ones too."""
    return {
        str(p.relative_to(root)): p.read_bytes()
        for top in ("raw", "annotations")
        for p in sorted((root / top).rglob("*"))
        if p.is_file()
    }


def refused(root: Path, *sources: Source) -> list[str]:
    """The lines of an extraction that fails."""
    with pytest.raises(UserError) as e:
        extract.run(dataset(*sources), root, show=False)
    assert "Traceback" not in str(e.value)
    return str(e.value).splitlines()
