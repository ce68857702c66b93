"""Fetching and extracting a dataset: what arrives, what is refused, and what is left behind."""

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPO, one_line
from served import BODY, Server

from vidtune.data import archives, extract, fetch, lock, state
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


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "d"


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


# --- fetch ---


def test_all_sources_arrive_and_nobody_is_asked_twice(server, root):
    lists = zipped(LISTS)
    server.files = {"v.zip": zipped(VIDEOS), "l.zip": lists}
    sha = hashlib.sha256(lists).hexdigest()
    sources = (
        source(server, "v.zip"),
        source(server, "l.zip", holds="annotations", sha256=sha, bytes=len(lists)),
        source(server, "extra.zip", optional=True),
    )
    fetch.run(dataset(*sources), root, show=False)
    assert {p.name: p.read_bytes() for p in (root / "downloads").iterdir()} == server.files
    fetch.run(dataset(*sources), root, show=False)
    assert len(server.asked) == 2
    extract.run(dataset(*sources), root, show=False)
    assert tree(root) == {f"raw/{k}": v for k, v in VIDEOS.items()} | {
        f"annotations/{k}": v for k, v in LISTS.items()
    }
    (root / "downloads" / "v.zip").unlink()  # room is made: neither stage misses it
    fetch.run(dataset(*sources), root, show=False)
    extract.run(dataset(*sources), root, show=False)
    assert len(server.asked) == 2


def test_one_files_trouble_does_not_stop_the_others(server, root):
    """A mirror helps one, a wrong hash and a dead link have a line each, the rest is there."""
    server.files = {"a": b"a" * 10, "b": b"b" * 10, "c": b"c" * 10}
    dead = server.url("absent/a")
    sources = (
        source(server, "a", url=dead, mirrors=(server.url("whole/a"),)),
        source(server, "b", sha256="0" * 64),
        source(server, "c", url=server.url("absent/c")),
        source(server, "d", url=server.url("outside/d")),
        source(server, "e", url=server.url("cut/e")),
    )
    with pytest.raises(UserError) as e:
        fetch.run(dataset(*sources, GATED), root, show=False)
    b, c, d, gate = str(e.value).splitlines()
    assert "downloads/b: " in b and "sha256 is not 000" in b
    assert "downloads/c: " in c and "HTTP 404" in c and "which is not https" in d
    assert gate == (
        "d: part-??: its owner asks for a form or a licence, so nothing fetches it: 1) accept the "
        "licence at https://example.org; 2) download all parts; then put it into "
        f"{root / 'downloads'}"
    )
    assert sorted(p.name for p in (root / "downloads").iterdir()) == ["a", "e"]
    assert (root / "downloads" / "e").read_bytes() == BODY
    assert state.read(root, "fetch")["digest"] is None


def test_a_list_names_further_files(server, root):
    server.files = {
        "train.txt": "\n".join(server.url(f"whole/{n}.tar") for n in "ab").encode() + b"\n\n",
        "a.tar": tarred({"x.mp4": b"x"}),
        "b.tar": tarred({"y.mp4": b"y"}),
    }
    data = dataset(source(server, "train.txt", lists=True))
    fetch.run(data, root, show=False)
    extract.run(data, root, show=False)
    assert tree(root) == {"raw/x.mp4": b"x", "raw/y.mp4": b"y"}


@pytest.mark.parametrize(
    "line, says",
    [
        ("http://example.org/a.tar", "expected the https address of a file"),
        ("a.tar", "expected the https address of a file"),
        ("https://example.org/%2e%2e", "expected the https address of a file"),
        ("https://b.org/a.tar\nhttps://c.org/a.tar", "a.tar: named by two addresses"),
    ],
)
def test_a_bad_line_of_a_list(line, says, server, root):
    server.files = {"train.txt": f"\n{line}\n".encode()}
    with pytest.raises(UserError) as e:
        fetch.run(dataset(source(server, "train.txt", lists=True)), root, show=False)
    assert says in one_line(str(e.value)) and "train.txt:" in str(e.value)
    assert {how for how, _ in server.asked} == {"whole"} and len(server.asked) == 1


def test_a_file_that_changed_since_is_checked_again(server, root):
    server.files = {"a": b"a" * 10}
    data = dataset(source(server, "a", sha256=hashlib.sha256(b"a" * 10).hexdigest()))
    fetch.run(data, root, show=False)
    (root / "downloads" / "a").write_bytes(b"b" * 10)
    with pytest.raises(UserError, match=r"sha256 is not .*; delete the file and fetch it again"):
        fetch.run(data, root, show=False)


def test_too_little_room_is_said_before_the_first_byte(server, root):
    with pytest.raises(UserError, match=r"bytes to fetch, .* free; free some space"):
        fetch.run(dataset(source(server, "a", bytes=1 << 60)), root, show=False)
    assert not server.asked


def test_many_at_once_say_how_far_they_are():
    meter = fetch._Meter("d", 3, show=True)
    meter.start -= 10
    meter.tell("a", 0, 4_000_000)
    meter.tell("a", 1_000_000, 4_000_000)
    line = meter.line(meter.start + 10)
    assert line == "d: 1 of 4 MB of 1 of 3 files, 0.1 MB/s, 30 s left"


# --- extract ---


@pytest.mark.parametrize(
    "data",
    [zipped(VIDEOS), *(tarred(VIDEOS, f"w:{c}") for c in ("", "gz", "bz2", "xz"))],
    ids=["zip", "tar", "gz", "bz2", "xz"],
)
def test_an_archive_is_known_by_its_content(data, root):
    brought(root, videos__bin=data)
    extract.run(dataset(source(None, "videos.bin")), root, show=False)
    assert tree(root) == {f"raw/{k}": v for k, v in VIDEOS.items()}
    assert all(stat.S_IMODE(p.stat().st_mode) & 0o111 == 0 for p in root.rglob("*.mp4"))


def test_a_file_that_is_no_archive_is_placed(root):
    brought(root, labels__json=b"{}")
    extract.run(dataset(source(None, "labels.json", holds="annotations")), root, show=False)
    assert tree(root) == {"annotations/labels.json": b"{}"}


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
    server.files = {name: zipped(VIDEOS)}  # whatever its name says
    (root / "downloads" / name).unlink()
    fetch.run(data, root, show=False)
    extract.run(data, root, show=False)
    assert tree(root) == {f"raw/{k}": v for k, v in VIDEOS.items()}


def test_a_web_page_among_the_parts_is_named(root):
    data = tarred(VIDEOS, "w:gz")
    brought(root, z0__zip=zipped({"part-00": data}), z1__zip=PAGE)
    (line,) = refused(root, GATED.model_copy(update={"file": "z?.zip"}))
    assert "is no zip or tar archive: it begins with" in line and not tree(root)


@pytest.mark.parametrize("outer", ["files", "zips"])
def test_parts_are_one_archive(outer, root):
    data = tarred({f"v/{i}.webm": os.urandom(5000) for i in range(4)}, "w:gz")
    parts = {f"part-{i:02d}": data[i * 7000 : (i + 1) * 7000] for i in range(3)}
    one = GATED
    if outer == "zips":
        files = {"z1__zip": {"in/part-02": parts["part-02"]}}
        files["z0__zip"] = {f"in/{k}": parts[k] for k in ("part-00", "part-01")}
        parts = {name: zipped(inner) for name, inner in files.items()}
        one = GATED.model_copy(update={"file": "z?.zip"})
    brought(root, **parts)
    fetch.run(dataset(one), root, show=False)
    extract.run(dataset(one), root, show=False)
    assert len(tree(root)) == 4
    (root / "downloads" / sorted(parts)[0].replace("__", ".")).unlink()
    state.path(root, "extract").unlink()
    (line,) = refused(root, one)
    assert "damaged: " in line


def test_a_missing_part_is_named(root):
    data = tarred(VIDEOS, "w:gz")
    brought(root, **{"part-00": data[:100], "part-02": data[100:]})
    (line,) = refused(root, GATED)
    assert "a part is missing or there twice: found part-00, part-02" in line
    assert not tree(root)


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
    data, says = BAD[case]
    brought(root, bad__x=data, good__zip=zipped(VIDEOS))
    (line,) = refused(root, source(None, "bad.x"), source(None, "good.zip"))
    assert says in line and "bad.x: refused: " in line and "nothing of it was extracted" in line
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


def test_nothing_that_is_there_is_replaced(root):
    brought(root, v__zip=zipped(VIDEOS))
    mine = root / "raw" / "videos" / "3.mp4"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    (line,) = refused(root, source(None, "v.zip"))
    assert f"{mine} is there already and is another file; move one" in line
    assert tree(root) == {"raw/videos/3.mp4": b"mine"}
    mine.write_bytes(VIDEOS["videos/3.mp4"])
    extract.run(dataset(source(None, "v.zip")), root, show=False)
    assert tree(root) == {f"raw/{k}": v for k, v in VIDEOS.items()}


def test_the_same_file_in_two_archives_is_fine_and_another_of_its_name_is_not(root):
    brought(root, a__zip=zipped({"r": b"1", "a": b"a"}), b__zip=zipped({"r": b"1", "b": b"b"}))
    extract.run(dataset(source(None, "a.zip"), source(None, "b.zip")), root, show=False)
    assert sorted(tree(root)) == ["raw/a", "raw/b", "raw/r"]
    brought(root, c__zip=zipped({"r": b"2"}))
    assert "is another file" in refused(root, source(None, "c.zip"))[0]


def test_what_is_not_there_is_named_with_the_command(root):
    brought(root, v__zip=zipped(VIDEOS))
    (line,) = refused(root, source(None, "w.zip"), source(None, "v.zip"))
    assert line == f"d: {root}/downloads/w.zip: not there; run `vidtune data fetch d`"
    assert len(tree(root)) == len(VIDEOS)


def test_an_interrupt_stops_all_and_the_next_attempt_goes_on(root, monkeypatch):
    brought(root, v__zip=zipped(VIDEOS), w__tar=tarred({"w.mp4": b"w"}))
    data = dataset(source(None, "v.zip"), source(None, "w.tar"))
    put = extract._Extraction.put

    def interrupted(self, member):
        if member.path.name == "3.mp4":
            raise KeyboardInterrupt
        put(self, member)

    monkeypatch.setattr(extract._Extraction, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract.run(data, root, show=False)
    assert not (root / "raw" / "videos").exists()
    monkeypatch.setattr(extract._Extraction, "put", put)
    extract.run(data, root, show=False)
    assert tree(root) == {f"raw/{k}": v for k, v in VIDEOS.items()} | {"raw/w.mp4": b"w"}


def test_what_was_deleted_is_extracted_again(root):
    brought(root, v__zip=zipped(VIDEOS))
    for _ in range(2):
        extract.run(dataset(source(None, "v.zip")), root, show=False)
        assert len(tree(root)) == len(VIDEOS)
        shutil.rmtree(root / "raw")


def test_videos_that_the_user_has_put_there_need_no_archive(root):
    (root / "raw").mkdir(parents=True)
    (root / "raw" / "1.webm").write_bytes(b"1")
    fetch.run(dataset(GATED), root, show=False)
    extract.run(dataset(GATED), root, show=False)
    assert state.read(root, "extract")["digest"]


def test_an_archive_that_was_extracted_is_not_the_users_hand(root):
    """With some archives of several there, the others stay missing, however often one asks."""
    brought(root, a__zip=zipped({"a.mp4": b"a"}))
    sources = [source(None, f"{n}.zip") for n in "abc"]
    for _ in range(2):
        b, c = refused(root, *sources)
        assert f"{root}/downloads/b.zip: not there" in b and "c.zip: not there" in c
        assert not state.read(root, "extract").get("digest")
    brought(root, b__zip=zipped({"b.mp4": b"b"}), c__zip=zipped({"c.mp4": b"c"}))
    extract.run(dataset(*sources), root, show=False)
    assert state.read(root, "extract")["digest"] and len(tree(root)) == 3


def test_gated_archives_that_were_extracted_may_go(root):
    gated = GATED.model_copy(update={"file": "v1-*", "joined": None})
    brought(root, **{"v1-2__zip": zipped(VIDEOS)})
    extract.run(dataset(gated), root, show=False)
    (root / "downloads" / "v1-2.zip").unlink()
    fetch.run(dataset(gated), root, show=False)
    extract.run(dataset(gated), root, show=False)


EXTRACT = """
import sys
from pathlib import Path
{setup}
from vidtune.data import extract
from vidtune.spec import Dataset, UserError
try:
    extract.run(Dataset.model_validate_json(sys.argv[1]), Path(sys.argv[2]), show=False)
except UserError as e:
    sys.exit(str(e))
"""
LIMIT = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 19,) * 2)"


def elsewhere(setup: str, data: Dataset, root: Path) -> subprocess.CompletedProcess[str]:
    code = EXTRACT.format(setup=setup)
    command = [sys.executable, "-c", code, data.model_dump_json(), str(root)]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)


def test_a_full_disk_in_the_middle_keeps_what_is_whole_and_shows_nothing(root):
    """A limit on a file's size stands for it."""
    files = {"a.mp4": b"a" * 1000, "b.mp4": os.urandom(1 << 20)}
    brought(root, v__tar=tarred(files), w__tar=tarred({"w.mp4": b"w"}))
    data = dataset(source(None, "v.tar"), source(None, "w.tar"))
    done = elsewhere(LIMIT, data, root)
    line = one_line(done.stderr)
    assert done.returncode == 1 and "v.tar: cannot extract: " in line and "File too large" in line
    shown = {k for k in tree(root) if not k.startswith(f"raw/{extract.HIDDEN}")}
    assert shown == {"raw/w.mp4"}  # the rest went on
    (kept,) = (k for k in tree(root) if k.startswith(f"raw/{extract.HIDDEN}"))
    assert kept.endswith("/a.mp4")
    extract.run(data, root, show=False)
    assert tree(root) == {"raw/w.mp4": b"w", **{f"raw/{k}": v for k, v in files.items()}}


@pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")
def test_a_full_file_system_is_one_line(root):
    brought(root, v__tar=tarred({f"{i}.mp4": os.urandom(300_000) for i in range(8)}))
    raw = root / "raw"
    raw.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "x", raw]).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        (line,) = refused(root, source(None, "v.tar"))
        assert "No space left on device" in line and "run it again to go on" in line
        assert [p.name[: len(extract.HIDDEN)] for p in raw.iterdir()] == [extract.HIDDEN]
    finally:
        subprocess.run(["umount", raw], check=True)


NOBODY = "import os\nos.getuid() or (os.setgid(65534), os.setuid(65534))"


@pytest.mark.parametrize("shut", ["downloads", "raw", "downloads/v.zip", "."])
def test_an_unreadable_place_is_one_line(shut, root, tmp_path):
    brought(root, v__zip=zipped(VIDEOS))
    for folder in ("raw", "state"):
        (root / folder).mkdir()
    for place in (*root.rglob("*"), root, *root.parents):
        if place.is_relative_to(tmp_path):
            place.chmod(0o777)
    for place in tmp_path.parents:
        if place != Path("/") and place.stat().st_uid == os.getuid():
            place.chmod(place.stat().st_mode | 0o055)
    (root / shut).chmod(0o000)
    imports = "import vidtune.data.extract  # before its files are out of reach\n"
    done = elsewhere(imports + NOBODY, dataset(source(None, "v.zip")), root)
    (root / shut).chmod(0o777)
    line = one_line(done.stderr)
    assert done.returncode == 1 and "Permission denied" in line and str(root / shut) in line
    assert not tree(root)


# --- lock ---


def test_the_first_verified_download_is_what_later_ones_must_be(server, root, tmp_path):
    server.files = {"v.zip": zipped(VIDEOS), "l.zip": zipped(LISTS)}
    data = dataset(source(server, "v.zip"), source(server, "l.zip", holds="annotations"))
    fetch.run(data, root, show=False)
    with pytest.raises(UserError, match="nothing verified yet; run `vidtune data extract d`"):
        lock.run(data, root, tmp_path)
    extract.run(data, root, show=False)
    lines = lock.run(data, root, tmp_path)
    sha = hashlib.sha256(server.files["v.zip"]).hexdigest()
    assert len(lines) == 2 and any(sha in line for line in lines)
    held = lock.read(tmp_path, "d")
    assert held["v.zip"].sha256 == sha and lock.read(tmp_path, "other") == {}
    again = root.parent / "again"
    server.files["v.zip"] = zipped({"videos/0.mp4": b"another"})
    with pytest.raises(UserError) as e:
        fetch.run(data, again, held, show=False)
    assert "v.zip: cannot fetch" in one_line(str(e.value))
    assert [p.name for p in (again / "downloads").iterdir()] == ["l.zip"]


def test_a_lock_is_never_rewritten_silently(root, tmp_path):
    brought(root, v__zip=zipped(VIDEOS))
    data = dataset(source(None, "v.zip"))
    extract.run(data, root, show=False)
    (tmp_path / lock.FILE).write_text(json.dumps({"d": {"v.zip": {"bytes": 1, "sha256": "0"}}}))
    with pytest.raises(UserError, match=r"locked is 0; .* take the entry out of datasets.lock"):
        lock.run(data, root, tmp_path)
    (tmp_path / lock.FILE).write_text('{"d": {"v.zip": 1}}')
    with pytest.raises(UserError, match="expected bytes and sha256 of each file"):
        lock.read(tmp_path, "d")


# --- the verb ---


@pytest.fixture
def declared(config: Path, server: Server) -> Callable[[dict[str, bytes]], Path]:
    """A dataset d with one open zip of videos, in a copy of the configuration."""

    def make(files: dict[str, bytes]) -> Path:
        server.files = {"v.zip": zipped(files)}
        yaml = config / "datasets.yaml"
        entry = {"file": "v.zip", "holds": "videos", "url": server.url("whole/v.zip")}
        more = {"task": "retrieval", "sources": [entry]}
        yaml.write_text(f"{yaml.read_text()}  d: {json.dumps(more)}\n")
        main = config / "config.yaml"
        text = main.read_text().replace("data: data ", f"data: {config.parent / 'data'} ")
        main.write_text(text)
        return config

    return make


def test_the_verbs(declared, vidtune, tmp_path):
    config = declared(VIDEOS)
    code, _, err = vidtune("data", "extract", "d", "--config", config)
    assert code == 2 and "run `vidtune data fetch d`" in one_line(err)
    done = tmp_path / "done" / "fetch"
    assert vidtune("data", "fetch", "d", "--config", config, "--done", done)[0] == 0
    assert done.exists()
    assert vidtune("data", "extract", "d", "--config", config)[0] == 0
    code, out, _ = vidtune("data", "lock", "d", "--config", config)
    assert code == 0 and "v.zip" in out and (config / lock.FILE).exists()
    code, _, err = vidtune("data", "fetch", "motion-class", "--config", config)
    assert code == 2 and "generated" in one_line(err)
    code, _, err = vidtune("data", "fetch", "e", "--config", config)
    assert code == 2 and "e: not a dataset; known: msrvtt" in one_line(err)
