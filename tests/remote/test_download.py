"""Downloads from a small server on this machine, which can misbehave."""

import hashlib
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.common import REPO, one_line
from helpers.served import BODY

from vidtune.remote import download
from vidtune.remote import server as requests
from vidtune.remote.server import downgrades
from vidtune.spec import UserError

SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "a" / "file"


def part_of(place: Path, content: bytes) -> Path:
    place.parent.mkdir(parents=True)
    part = place.with_name("file.part")
    part.write_bytes(content)
    return part


def alone(place: Path) -> bool:
    """Nothing but the finished file is left."""
    return list(place.parent.iterdir()) == [place] and place.read_bytes() == BODY


@pytest.mark.parametrize("sha256", [SHA, None])
def test_a_file_arrives_whole_and_in_silence(sha256, server, place, capsys):
    download.download([server.url("whole/f")], place, sha256, len(BODY), "a file")
    assert alone(place) and not capsys.readouterr().err
    download.download([server.url("absent/f")], place, sha256)  # it exists: nobody is asked
    assert server.asked == [("whole", None)]


def test_the_servers_tag_beside_a_complete_file_is_deleted(server, place):
    """An attempt that was killed after the rename left it."""
    download.download([server.url("whole/f")], place, None)
    tag = place.with_name(f"{place.name}.part.json")
    tag.write_text("{}")
    download.download([server.url("whole/f")], place, None)
    assert not tag.exists() and len(server.asked) == 1


@pytest.mark.parametrize("terminal", [True, False])
def test_a_cut_is_continued_where_it_was(terminal, server, place, capsys, monkeypatch):
    """A terminal shows what is waited for; a log has one line of each file at most."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    download.download([server.url("cut/f")], place, SHA)
    assert alone(place) and server.ranges() == [None, f"bytes={len(BODY) // 2}-"]
    shown = capsys.readouterr().err
    assert ("broke off after 1,280,000 of 2,560,000 bytes; again" in shown) == terminal
    assert terminal or not shown


def test_what_an_earlier_process_left_is_continued(server, place):
    part_of(place, BODY[:1000])
    download.download([server.url("whole/f")], place, SHA)
    assert alone(place) and server.ranges() == ["bytes=1000-"]


def test_without_a_sha256_nothing_old_is_continued(server, place):
    part_of(place, b"?" * 1000)
    download.download([server.url("whole/f")], place, None)
    assert alone(place) and server.ranges() == [None]


def test_without_a_sha256_the_servers_tag_lets_it_go_on(server, place):
    """And only while the file is still the same, from the same address."""
    part = part_of(place, BODY[:1000])
    tag = place.with_name("file.part.json")
    same = f'"{SHA[:16]}"'
    tag.write_text(json.dumps({server.url("whole/f"): same}))
    download.download([server.url("whole/f")], place, None)
    assert alone(place) and server.ranges() == ["bytes=1000-"]
    place.unlink()
    for how, known in (("whole", '"older"'), ("rangeless", same), ("tagless", same)):
        part.write_bytes(b"?" * 1000)
        tag.write_text(json.dumps({server.url(f"{how}/f"): known}))
        download.download([server.url(f"{how}/f")], place, None)
        assert alone(place), how
        place.unlink()


def test_what_breaks_off_without_a_sha256_is_continued(server, place):
    download.download([server.url("cut/f")], place, None)
    assert alone(place) and server.ranges() == [None, f"bytes={len(BODY) // 2}-"]


@pytest.mark.parametrize("sha256", [SHA, None])
def test_a_page_in_place_of_the_file_leaves_what_is_here(sha256, server, place):
    """As a proxy or a quota answers: 200, and a few bytes."""
    part = part_of(place, BODY[:100_000])
    server.files["page"] = b"<html>quota exceeded</html>"
    url = server.url("whole/page")
    place.with_name("file.part.json").write_text(json.dumps({url: '"older"'}))
    with pytest.raises(UserError, match="27 bytes in place of the 100,000 that are here"):
        download.download([server.url("rangeless/page") if sha256 else url], place, sha256)
    assert part.read_bytes() == BODY[:100_000]


@pytest.mark.parametrize("how", ["rangeless", "shifted"])
def test_a_server_that_does_not_continue_starts_anew(how, server, place):
    part_of(place, BODY[:1000])
    download.download([server.url(f"{how}/f")], place, SHA)
    assert alone(place)


@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_partial_file_that_is_complete_or_too_long(size, server, place):
    part = part_of(place, BODY)
    download.download([server.url("whole/f")], place, SHA, size)
    assert alone(place) and server.ranges() == [f"bytes={len(BODY)}-"]
    place.unlink()
    part.write_bytes(BODY + b"?")
    download.download([server.url("whole/f")], place, SHA, size)
    assert alone(place)


def test_a_stale_partial_file_is_noticed(server, place):
    part_of(place, b"?" * 1000)
    download.download([server.url("whole/f")], place, SHA)
    assert alone(place) and server.ranges() == ["bytes=1000-", None]


def test_another_file_is_refused_and_leaves_nothing(server, place):
    with pytest.raises(UserError) as e:
        download.download([server.url("other/f")], place, SHA, len(BODY))
    text = one_line(str(e.value))
    assert f"sha256 is not {SHA} but" in text and server.url("other/f") in text
    assert f"{place}: " in text and "2,560,000 bytes" in text
    assert len(server.asked) == 1 and not list(place.parent.iterdir())
    with pytest.raises(UserError, match=r"2,560,000 bytes, not 7;"):
        download.download([server.url("whole/f")], place, None, 7)


def test_a_mirror_helps_out(server, place):
    download.download(
        [server.url("absent/f"), server.url("other/f"), server.url("moved/f")], place, SHA
    )
    assert alone(place)
    assert [how for how, _ in server.asked] == ["absent", "other", "moved", "whole"]


@pytest.mark.parametrize("how, why", [("busy", "HTTP 503"), ("silent", "no answer for 0.3 s")])
def test_what_may_pass_is_tried_again(how, why, server, place, monkeypatch, capsys):
    monkeypatch.setattr(requests, "TIMEOUT", 0.3)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    download.download([server.url(f"{how}/f")], place, SHA)
    assert alone(place) and len(server.asked) == 2 and why in capsys.readouterr().err


def test_a_server_that_states_no_length(server, place):
    with pytest.raises(UserError, match="does not say how long it is, and no sha256 is known"):
        download.download([server.url("lengthless/f")], place, None)
    download.download([server.url("lengthless/f")], place, SHA)
    assert alone(place)


def test_nobody_answers(place, monkeypatch):
    """Every address with its reason, the size, the hash and the place: in one line."""
    monkeypatch.setattr(download, "WAITS", ())
    urls = ["http://127.0.0.1:1/f", "ftp://127.0.0.1/f"]
    with pytest.raises(UserError) as e:
        download.download(urls, place, None)
    text = one_line(str(e.value))
    assert f"{urls[0]}: Connection refused; {urls[1]}: not an https address" in text
    assert str(place) in text and "(size unknown, sha256 unknown)" in text


def test_https_is_never_left():
    assert downgrades("https://a.org/f", "http://a.org/f")
    assert downgrades("https://a.org/f", "ftp://a.org/f")
    assert not downgrades("https://a.org/f", "https://b.org/f")
    assert downgrades("http://127.0.0.1/f", "http://b.org/f")
    assert not downgrades("http://127.0.0.1/f", "http://127.0.0.1/g")


def test_a_redirect_to_http_is_refused(server, place):
    with pytest.raises(UserError) as e:
        download.download([server.url("outside/f")], place, SHA)
    text = one_line(str(e.value))
    assert "redirected to http://example.org/f, which is not https" in text
    assert len(server.asked) == 1 and not list(place.parent.iterdir())
    with pytest.raises(UserError, match="not an https address"):
        download.download(["http://example.org/f"], place, SHA)


FETCH = """
import sys
from pathlib import Path
from vidtune.remote.download import download
download([sys.argv[1]], Path(sys.argv[2]), sys.argv[3])
"""


def test_a_full_disk_keeps_what_has_arrived(server, place):
    """A limit on the file's size stands for it."""
    limited = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20,) * 2)\n{FETCH}"
    command = [sys.executable, "-c", limited, server.url("whole/f"), str(place), SHA]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=60)
    assert f"UserError: {place}: cannot write: File too large" in done.stderr
    assert not place.exists()
    download.download([server.url("whole/f")], place, SHA)
    assert alone(place) and server.ranges() == [None, f"bytes={1 << 20}-"]


def test_two_processes_fetch_the_same_file(server, place):
    command = [sys.executable, "-c", FETCH, server.url("whole/f"), str(place), SHA]
    both = [subprocess.Popen(command, cwd=REPO, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [p.communicate(timeout=60)[1].decode() for p in both]
    assert [p.returncode for p in both] == [0, 0], errors
    assert alone(place) and len(server.asked) == 1


def test_who_waits_for_another_process_takes_what_it_brought(server, place):
    part = part_of(place, BODY[:1000])
    asked = threading.Event()
    with download._locked(part, "f") as mine:
        other = threading.Thread(
            target=lambda: (asked.set(), download.download([server.url("whole/f")], place, SHA))
        )
        other.start()
        asked.wait()
        mine.write(BODY[1000:])
        part.rename(place)
    other.join(30)
    assert alone(place) and server.asked == []
