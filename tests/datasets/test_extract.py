"""Extracting a dataset: what is placed, what is refused, and what an attempt leaves."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.common import REPO, one_line
from helpers.staged import (
    GATED,
    VIDEOS,
    brought,
    dataset,
    refused,
    source,
    tarred,
    tree,
    zipped,
)

from vidtune.datasets import extract, fetch, stage_state
from vidtune.spec import Dataset


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "d"


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
    stage_state.state_file(root, "extract").unlink()
    (line,) = refused(root, one)
    assert "damaged: " in line


def test_a_missing_part_is_named(root):
    data = tarred(VIDEOS, "w:gz")
    brought(root, **{"part-00": data[:100], "part-02": data[100:]})
    (line,) = refused(root, GATED)
    assert "a part is missing or there twice: found part-00, part-02" in line
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
    write = extract._write

    def interrupted(member, *folders):
        if member.path.name == "3.mp4":
            raise KeyboardInterrupt
        write(member, *folders)

    monkeypatch.setattr(extract, "_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract.run(data, root, show=False)
    assert not (root / "raw" / "videos").exists()
    monkeypatch.setattr(extract, "_write", write)
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
    assert stage_state.load(root, "extract")["digest"]


def test_an_archive_that_was_extracted_is_not_the_users_hand(root):
    """With some archives of several, the others stay missing, however often it runs."""
    brought(root, a__zip=zipped({"a.mp4": b"a"}))
    sources = [source(None, f"{n}.zip") for n in "abc"]
    for _ in range(2):
        b, c = refused(root, *sources)
        assert f"{root}/downloads/b.zip: not there" in b and "c.zip: not there" in c
        assert not stage_state.load(root, "extract").get("digest")
    brought(root, b__zip=zipped({"b.mp4": b"b"}), c__zip=zipped({"c.mp4": b"c"}))
    extract.run(dataset(*sources), root, show=False)
    assert stage_state.load(root, "extract")["digest"] and len(tree(root)) == 3


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
from vidtune.datasets import extract
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
        pytest.skip("no tmpfs can be mounted")
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
    imports = "import vidtune.datasets.extract  # before its files are out of reach\n"
    done = elsewhere(imports + NOBODY, dataset(source(None, "v.zip")), root)
    (root / shut).chmod(0o777)
    line = one_line(done.stderr)
    assert done.returncode == 1 and "Permission denied" in line and str(root / shut) in line
    assert not tree(root)
