"""Archives that are refused as a whole: unsafe, damaged, or no archives at all."""

import gzip
import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest
from helpers.common import one_line
from helpers.staged import (
    GATED,
    VIDEOS,
    brought,
    dataset,
    member,
    refused,
    source,
    tarred,
    tree,
    zipped,
)

from vidtune.datasets import archives, extract, fetch, lock
from vidtune.spec import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "d"


PAGE = b"<!DOCTYPE html><title>The quota is exceeded</title>"


@pytest.mark.parametrize("name", ["v.zip", "v.tar.gz", "V.TGZ", "v.rar"])
def test_a_web_page_in_an_archives_place_is_no_archive(name, server, root, tmp_path):
    """The server answered with it as if all were well, and nobody knows the archive's hash."""
    server.files = {name: PAGE}
    data = dataset(source(server, name))
    fetch.run(data, root, show=False)
    line = one_line("\n".join(refused(root, *data.sources)))
    assert f"{name}: damaged: is no zip or tar archive: it begins with b'<!DOCTYPE" in line
    assert "nothing of it was extracted; delete it and fetch it again" in line and not tree(root)
    with pytest.raises(UserError, match="nothing verified yet"):
        lock.run(data, root, tmp_path)
    server.files = {name: zipped(VIDEOS)}  # whatever its name
    (root / "downloads" / name).unlink()
    fetch.run(data, root, show=False)
    extract.run(data, root, show=False)
    assert tree(root) == {f"raw/{k}": v for k, v in VIDEOS.items()}


def test_a_web_page_among_the_parts_is_named(root):
    data = tarred(VIDEOS, "w:gz")
    brought(root, z0__zip=zipped({"part-00": data}), z1__zip=PAGE)
    (line,) = refused(root, GATED.model_copy(update={"file": "z?.zip"}))
    assert "is no zip or tar archive: it begins with" in line and not tree(root)


LINK, HARD = tarfile.SYMTYPE, tarfile.LNKTYPE
BAD: dict[str, tuple[bytes, str]] = {
    "zip ..": (zipped({"ok": b"1", "../evil": b"2"}), "leaves the target"),
    "tar ..": (tarred({"ok": b"1", "a/../../evil": b"2"}), "leaves the target"),
    "zip absolute": (zipped({"/etc/evil": b"2"}), "an absolute path"),
    "tar absolute": (tarred({"ok": b"1", "/etc/evil": b"2"}), "an absolute path"),
    "drive": (zipped({"C:/evil": b"2"}), "an absolute path"),
    "backslash": (zipped({"..\\evil": b"2"}), "backslashes"),
    "newline": (tarred({"a\nb": b"2"}), "control characters"),
    "long": (zipped({"a" * 300: b"2"}), "more than 255 bytes"),
    "symlink": (tarred({"ok": b"1"}, x=member("l", type=LINK, linkname="/etc")), "a link"),
    "inner symlink": (tarred({"ok": b"1"}, x=member("l", type=LINK, linkname="ok")), "a link"),
    "hard link": (tarred({"ok": b"1"}, x=member("l", type=HARD, linkname="/etc/passwd")), "a link"),
    "device": (tarred({"ok": b"1"}, x=member("l", type=tarfile.CHRTYPE)), "a link or a device"),
    "zip bomb": (zipped({"ok": b"1", "zeros": bytes(80 << 20)}), "a zip bomb"),
    "gz bomb": (gzip.compress(tarred({"ok": b"1", "zeros": bytes(80 << 20)}), 1), "a zip bomb"),
    "pax bomb": (
        gzip.compress(
            member("x", type=tarfile.XHDTYPE, size=100 << 20).tobuf() + bytes(100 << 20), 1
        ),
        "a zip bomb",
    ),
}


def linked() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        info = zipfile.ZipInfo("link")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        z.writestr(info, "/etc")
    return out.getvalue()


BAD["zip symlink"] = linked(), "a link"


@pytest.mark.parametrize("case", BAD)
def test_an_unsafe_archive_is_refused_as_a_whole(case, root):
    """And the others are extracted."""
    data, reason = BAD[case]
    brought(root, bad__x=data, good__zip=zipped(VIDEOS))
    (line,) = refused(root, source(None, "bad.x"), source(None, "good.zip"))
    assert reason in line and "bad.x: refused: " in line and "nothing of it was extracted" in line
    assert tree(root) == {f"raw/{k}": v for k, v in VIDEOS.items()}
    assert sorted(p.name for p in (root / "raw").iterdir()) == ["videos"]
    assert not list(root.parent.parent.rglob("evil"))


def test_too_many_files_are_refused(root, monkeypatch):
    monkeypatch.setattr(archives, "FILES", 3)
    brought(root, v__zip=zipped(VIDEOS))
    assert "more than 3 files" in refused(root, source(None, "v.zip"))[0] and not tree(root)


WHOLE = tarred({f"{i}.mp4": os.urandom(3000) for i in range(30)})
TAR_GZ = gzip.compress(WHOLE)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]


@pytest.mark.parametrize(
    "data",
    [
        zipped(VIDEOS)[:-30],
        flipped(zipped(VIDEOS), 45),
        TAR_GZ[: len(TAR_GZ) // 2],
        TAR_GZ[:-6],
        WHOLE[:50_000],
        WHOLE[: 512 * 7 * 10],  # between two files: tarfile itself sees nothing wrong
        flipped(WHOLE, 512 * 7 * 10 + 150),  # a header: tarfile itself takes it for the end
        flipped(TAR_GZ, len(TAR_GZ) - 6),
        gzip.compress(b"text"),
    ],
    ids=["zip", "zip-byte", "gz", "gz-end", "tar", "tar-gap", "tar-header", "gz-crc", "no-tar"],
)
def test_a_damaged_archive_leaves_nothing(data, root):
    brought(root, bad__x=data)
    line = one_line("\n".join(refused(root, source(None, "bad.x"))))
    assert "bad.x: damaged: " in line and "delete it and fetch it again" in line
    assert not tree(root)
