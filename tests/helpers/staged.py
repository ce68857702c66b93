"""Small archives and datasets for the tests of fetching and extracting."""

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from helpers.served import Server
from vidtune.datasets import extract
from vidtune.spec import Dataset, Source, UserError

VIDEOS = {f"videos/{i}.mp4": bytes([i]) * (1000 + i) for i in range(5)}
LISTS = {"lists/train.csv": b"id\n1\n", "lists/test.csv": b"id\n2\n"}


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        for name, data in files.items():
            z.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w", **extra: tarfile.TarInfo) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as t:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            t.addfile(info, io.BytesIO(data))
        for info in extra.values():
            t.addfile(info)
    return out.getvalue()


def member(name: str, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in fields.items():
        setattr(info, key, value)
    return info


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
