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
    flipped,
    member,
    refused,
    source,
    tarred,
    tree,
    zipped,
)

from vidtune.datasets import extract, fetch, lock
from vidtune.datasets.archives import reading
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
    monkeypatch.setattr(reading, "FILES", 3)
    brought(root, v__zip=zipped(VIDEOS))
    assert "more than 3 files" in refused(root, source(None, "v.zip"))[0] and not tree(root)


WHOLE = tarred({f"{i}.mp4": os.urandom(3000) for i in range(30)})
TAR_GZ = gzip.compress(WHOLE)


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


NAMES = [
    "Screen Recording at 3.14.15\u202fPM.mov",  # macOS
    "\U0001f469\u200d\U0001f467.mp4",  # joined emoji
    "a\u00a0b\u3000c.mp4",
    "\u200e\u202aIMG-1\u202c.mp4",  # messengers
    "a\u2028b.mp4",
    "A: the beginning.mp4",
    "-rf *.mp4",
    "Cafe\u0301.mp4",
    ".hidden/clip.mp4",
]


@pytest.mark.parametrize("make", [zipped, tarred])
def test_an_unusual_name_is_no_danger(make, root):
    files = {name: name.encode() for name in NAMES}
    brought(root, v__x=make(files))
    extract.run(dataset(source(None, "v.x")), root, show=False)
    assert tree(root) == {f"raw/{k}": v for k, v in files.items()}


def test_a_zip_of_macos_has_its_own_names(root):
    """Its names are UTF-8 and are not marked so."""
    marked = zipped({"Caf\u00e9.mp4": b"1"})
    data = marked.replace(b"\x14\x00\x00\x08", b"\x14\x00\x00\x00")
    assert data != marked
    brought(root, v__zip=data)
    extract.run(dataset(source(None, "v.zip")), root, show=False)
    assert tree(root) == {"raw/Caf\u00e9.mp4": b"1"}


def twice(first: str, second: str) -> bytes:
    """A tar with two files, whose names may be equal."""
    one, other = (member(name, size=1) for name in (first, second))
    return one.tobuf() + b"1" * 512 + other.tobuf() + b"2" * 512 + bytes(1024)


COLLIDING = {
    "same name": (twice("a", "a"), "'a': there twice, and not the same"),
    "same path": (twice("b/a", "./b//a"), "'b/a': there twice, and not the same"),
    "file, folder": (twice("a", "a/b"), "'a/b': no file can have that name here"),
    "folder, file": (twice("a/b", "a"), "'a': there twice, and not the same"),
    "our own": (twice("a", f"{extract.HIDDEN}x/y"), "a name that this program uses itself"),
    "our own file": (twice("a", f"./{extract.HIDDEN}file"), "a name that this program uses itself"),
    "too deep": (tarred({"/".join(["d" * 250] * 20): b"1"}), "no file can have that name here"),
}


@pytest.mark.parametrize("case", COLLIDING)
def test_names_that_collide_are_refused_and_leave_nothing(case, root):
    data, reason = COLLIDING[case]
    brought(root, bad__x=data)
    (line,) = refused(root, source(None, "bad.x"))
    assert reason in line and "bad.x: refused: " in line
    assert not list((root / "raw").iterdir())


def test_the_same_file_twice_in_an_archive_is_fine(root):
    one = member("a", size=1).tobuf() + b"1" * 512
    brought(root, v__tar=one + one + bytes(1024))
    extract.run(dataset(source(None, "v.tar")), root, show=False)
    assert tree(root) == {"raw/a": b"1"}


@pytest.mark.parametrize("what", ["link", "file"])
def test_what_stands_in_the_hidden_folders_place_is_not_followed(what, root, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    brought(root, v__zip=zipped({"a": b"1"}))
    (root / "raw").mkdir()
    (archive,) = extract._archives(dataset(source(None, "v.zip")), root, {})[0]
    if what == "link":
        archive.hidden.symlink_to(victim)
    else:
        archive.hidden.write_bytes(b"")
    (root / "raw" / f"{extract.HIDDEN}old").symlink_to(victim)
    extract.run(dataset(source(None, "v.zip")), root, show=False)
    assert tree(root) == {"raw/a": b"1"} and not list(victim.iterdir())
    assert [p.name for p in (root / "raw").iterdir()] == ["a"]
