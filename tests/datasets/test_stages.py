"""Fetching a dataset, locking what was fetched, and the commands of the stages."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from helpers.common import one_line
from helpers.served import BODY, Server
from helpers.staged import GATED, LISTS, VIDEOS, brought, dataset, source, tarred, tree, zipped
from pydantic import ValidationError

from vidtune.datasets import extract, fetch, lock, overview, source_files, stage_state
from vidtune.remote.meter import Meter
from vidtune.spec import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "d"


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
    """A mirror helps one, a wrong hash and a dead link have a line each, the rest arrives."""
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
    assert stage_state.load(root, "fetch")["digest"] is None


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
    shutil.rmtree(root / "downloads")  # room is made
    assert source_files.absent(data.sources, root) == []
    asked = len(server.asked)
    (root / "state" / "fetch.json").unlink()  # archives that were brought by hand have no note
    fetch.run(data, root, show=False)
    assert [how for how, _ in server.asked[asked:]] == ["whole"]  # the list alone


@pytest.mark.parametrize(
    "line, problem",
    [
        ("http://example.org/a.tar", "expected the https address of a file"),
        ("a.tar", "expected the https address of a file"),
        ("https://example.org/%2e%2e", "expected the https address of a file"),
        ("https://b.org/a.tar\nhttps://c.org/a.tar", "a.tar: named by two addresses"),
        ("http://me:hunter2@b.org/a.tar?t=1", "found 'http://b.org/a.tar?...'"),
        ("https://b.org/a%0Ab.tar", "expected the https address of a file"),
        ("https://b.org/a.tar.part", "expected the https address of a file"),
    ],
)
def test_a_bad_line_of_a_list(line, problem, server, root):
    server.files = {"train.txt": f"\n{line}\n".encode()}
    with pytest.raises(UserError) as e:
        fetch.run(dataset(source(server, "train.txt", lists=True)), root, show=False)
    assert problem in one_line(str(e.value)) and "train.txt:" in str(e.value)
    assert {how for how, _ in server.asked} == {"whole"} and len(server.asked) == 1


def test_no_note_and_no_message_holds_what_an_address_keeps_secret(server, root):
    server.files = {"a": b"a"}
    secret = "hunter2"
    url = server.url("whole/a").replace("//", f"//me:{secret}@")
    found = source(server, "a").model_copy(update={"url": f"{url}?token={secret}"})
    gone = url.replace("whole", "absent")
    absent = found.model_copy(update={"file": "b", "url": f"{gone}?token={secret}"})
    fetch.run(dataset(found), root, show=False)
    with pytest.raises(UserError) as e:
        fetch.run(dataset(found, absent), root, show=False)
    assert secret not in one_line(str(e.value)) and "HTTP 404" in str(e.value)
    notes = [p.read_text() for p in (root / "state").iterdir()]
    assert notes and not any(secret in note for note in notes)
    shown = overview.overview(dataset(absent), root)
    assert shown.missing and secret not in str(shown)
    with pytest.raises(ValidationError) as refused:
        source(None, "c", mirrors=(f"ftp://me:{secret}@example.org/c?token={secret}",))
    assert secret not in refused.value.errors()[0]["msg"]


def test_a_list_may_name_files_with_spaces_and_accents(server, root):
    names = ["air drumming.tar", "caf\u00e9 \u2013 1.tar", "a\u202fb.tar"]
    server.files = {"train.txt": "\n".join(server.url(f"whole/{n}") for n in names).encode()}
    server.files |= {quote(n): tarred({f"{n}.mp4": n.encode()}) for n in names}
    data = dataset(source(server, "train.txt", lists=True))
    fetch.run(data, root, show=False)
    assert sorted(p.name for p in (root / "downloads" / "train").iterdir()) == sorted(names)
    extract.run(data, root, show=False)
    assert tree(root) == {f"raw/{n}.mp4": n.encode() for n in names}


def test_a_file_that_changed_since_is_checked_again(server, root):
    server.files = {"a": b"a" * 10}
    data = dataset(source(server, "a", sha256=hashlib.sha256(b"a" * 10).hexdigest()))
    fetch.run(data, root, show=False)
    (root / "downloads" / "a").write_bytes(b"b" * 10)
    with pytest.raises(UserError, match=r"sha256 is not .*; delete the file and fetch it again"):
        fetch.run(data, root, show=False)


def test_too_little_room_is_reported_before_the_first_byte(server, root):
    with pytest.raises(UserError, match=r"bytes to fetch, .* free; free some space"):
        fetch.run(dataset(source(server, "a", bytes=1 << 60)), root, show=False)
    assert not server.asked


def test_many_at_once_say_how_far_they_are():
    meter = Meter("d", 3)
    meter.start -= 10
    meter.update("a", 0, 4_000_000)
    meter.update("a", 1_000_000, 4_000_000)
    line = meter.line(meter.start + 10)
    assert line == "d: 1 of 4 MB of 1 of 3 files, 0.1 MB/s, 30 s left"


# --- lock ---


def test_the_first_verified_download_is_what_later_ones_must_be(server, root, tmp_path):
    server.files = {"v.zip": zipped(VIDEOS), "l.zip": zipped(LISTS)}
    data = dataset(source(server, "v.zip"), source(server, "l.zip", holds="annotations"))
    fetch.run(data, root, show=False)
    with pytest.raises(UserError, match="nothing verified yet; run `vidtune data extract d`"):
        lock.run(data, root, tmp_path)
    extract.run(data, root, show=False)
    lines = lock.summary(root, lock.run(data, root, tmp_path))
    sha = hashlib.sha256(server.files["v.zip"]).hexdigest()
    assert len(lines) == 2 and any(sha in line for line in lines)
    held = lock.locked_files(tmp_path, "d")
    assert held["v.zip"].sha256 == sha and lock.locked_files(tmp_path, "other") == {}
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
    (tmp_path / lock.FILE).write_text(
        json.dumps({"d": {"v.zip": {"bytes": 1, "sha256": "0" * 64}}})
    )
    with pytest.raises(UserError, match=r"locked is 0+; .* take the entry out of datasets.lock"):
        lock.run(data, root, tmp_path)
    (tmp_path / lock.FILE).write_text('{"d": {"v.zip": 1}}')
    with pytest.raises(UserError, match=r"datasets\.lock\.json: .*restore it from git"):
        lock.locked_files(tmp_path, "d")


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
