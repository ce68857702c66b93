"""Servers that send too much, too little, too slowly, or nonsense: one line each, and nothing stays."""

import hashlib
import random
from pathlib import Path

import pytest
from helpers.common import one_line
from helpers.raw_server import answering, reply

from vidtune.remote import download, server
from vidtune.spec import UserError
from vidtune.spec.address import encoded, is_safe, shown

BODY = bytes(range(256)) * 40
SHA = hashlib.sha256(BODY).hexdigest()
SIZE = len(BODY)
SECRET = "hunter2"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(download, "UNSTATED", 100_000)
    monkeypatch.setattr(server, "TIMEOUT", 0.4)
    monkeypatch.setattr(server, "LEAST", 1000)
    monkeypatch.setattr(server, "HEAD", 200_000)
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def chunked(size: str) -> bytes:
    return reply(Transfer_Encoding="chunked", body=f"{size}\r\n".encode())


# name -> (what is sent first, again and again, how slowly, size, the reason in the message)
HOSTILE: dict[str, tuple[bytes, bytes, float, int | None, str]] = {
    "no end": (reply(), BODY, 0, SIZE, f"more than {SIZE:,} bytes"),
    "no end, unknown size": (reply(), BODY, 0, None, "more than 100,000 bytes"),
    "no end of chunks": (chunked("fffffff"), BODY, 0, SIZE, f"more than {SIZE:,} bytes"),
    "longer than declared": (reply(Content_Length=5000), b"x", 0, 300, "5,000 bytes, not 300"),
    "larger than the disk": (reply(Content_Length=10**17), BODY, 0, None, "bytes to come, and"),
    "broken off": (
        reply(Content_Length=SIZE, body=BODY[:99]),
        b"",
        0,
        SIZE,
        "broke off after 99 of",
    ),
    "broken chunk": (chunked("ff"), b"", 0, SIZE, "broke off"),
    "no chunk": (chunked("-5"), b"", 0, SIZE, "broke off"),
    "slow body": (reply(Content_Length=SIZE), b"x", 0.05, SIZE, "fewer than 1,000 bytes in 0.4 s"),
    "silent body": (reply(Content_Length=SIZE), b"x", 9, SIZE, "fewer than 1,000 bytes in 0.4 s"),
    "slow head": (b"HTTP/1.1 200 OK\r\nX: ", b"x", 0.05, SIZE, "no answer for 0.4 s"),
    "no answer": (b"", b"x", 9, SIZE, "no answer for 0.4 s"),
    "hung up": (b"", b"", 0, SIZE, "hung up without an answer"),
    "garbage": (b"\x1b[2Jwhat?\r\n" * 20, b"", 0, SIZE, "its answer is no HTTP"),
    "no number": (reply("2x0 \x1b[31mOK"), b"", 0, SIZE, "its answer is no HTTP"),
    "long line": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 99_999, b"", 0, SIZE, "too long a head"),
    "many lines": (reply(**{f"X-{k}": k for k in range(300)}), b"", 0, SIZE, "too long a head"),
    "no end of heads": (b"", reply("100 Continue") * 9999, 0, SIZE, "too long a head"),
    "no end of trailers": (chunked("0"), b"X: x\r\n" * 49_999, 0, SIZE, "too long a head"),
    "escapes": (reply("404 \x1b[2J\x1b[31mgot you"), b"", 0, SIZE, "HTTP 404 Not Found"),
    "odd status": (reply("999 \x07"), b"", 0, SIZE, "HTTP 999"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_server_is_one_line_and_leaves_nothing(case, tmp_path: Path, capsys):
    first, again, pause, size, reason = HOSTILE[case]
    place = tmp_path / "f.bin"
    with answering(first, again, pause) as script, pytest.raises(UserError) as e:
        download.download([f"{script.url}/f"], place, None if "broken off" in case else SHA, size)
    line = one_line(str(e.value))
    assert reason in line and line.isprintable() and f"{script.url}/f: " in line
    assert not capsys.readouterr().err
    left = sum(p.stat().st_size for p in tmp_path.iterdir())
    assert left <= (SIZE if "body" in case or "chunk" in case else 0)  # what may be resumed


@pytest.mark.parametrize("length", ["9" * 5000, "-5", "\xb2", "0x10", "1e3", ""])
def test_a_length_that_is_none_counts_as_none(length: str, tmp_path: Path):
    with answering(reply(Content_Length=length, body=BODY)) as script:
        with pytest.raises(UserError, match="does not say how long it is"):
            download.download([f"{script.url}/f"], tmp_path / "a", None)
        download.download([f"{script.url}/f"], tmp_path / "b", SHA, SIZE)
    assert (tmp_path / "b").read_bytes() == BODY


@pytest.mark.parametrize("tag", ['"a\x1b[2J"', '"' + "a" * 9999 + '"', 'W/"a"', "a", '"'])
def test_an_odd_etag_is_not_kept(tag: str, tmp_path: Path):
    first = reply(Content_Length=SIZE, ETag=tag, body=BODY[:99])
    with answering(first) as script, pytest.raises(UserError, match="broke off after 99 of"):
        download.download([f"{script.url}/f"], tmp_path / "a", None)
    assert not list(tmp_path.iterdir()) and "If-Range" not in "".join(script.asked)


# where a redirect leads -> the reason in the message
LOCATIONS = {
    "http://[::1": "redirected to no valid address",
    "": "redirected to no valid address",
    " \t ": "redirected to no valid address",
    "https://a b.org/f": "redirected to no valid address",
    "https://a..org/f": "redirected to no valid address",
    "https://example.org:port/f": "redirected to no valid address",
    "https:///f": "not an https address",
    "file:///etc/passwd": "redirected to file:///etc/passwd, which is not https",
    f"http://me:{SECRET}@example.org/f": "redirected to http://example.org/f, which is not https",
    f"ftp://example.org/f?t={SECRET}": "redirected to ftp://example.org/f?..., which is not https",
    "gopher://\x1b[2J/\x07": "redirected to no valid address",
    "/again": "redirected 10 times",
}


@pytest.mark.parametrize("location", LOCATIONS)
def test_an_odd_redirect_is_one_line(location: str, tmp_path: Path):
    moved = reply("302 Found", Location=location)
    with answering(moved, BODY) as script, pytest.raises(UserError) as e:
        download.download([f"{script.url}/f"], tmp_path / "f", SHA)
    line = one_line(str(e.value))
    assert LOCATIONS[location] in line and line.isprintable() and SECRET not in line
    assert not list(tmp_path.iterdir())


# --- addresses ---


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("air drumming/caf\u00e9 1.tar", "air%20drumming/caf%C3%A9%201.tar"),
        ("air%20drumming/a+b&c=d.tar", "air%20drumming/a+b&c=d.tar"),
        ("a?x=a b&y=\u00fc#part", "a?x=a%20b&y=%C3%BC"),
        ("\u6d77/100%.zip", "%E6%B5%B7/100%.zip"),
    ],
)
def test_spaces_and_accents_are_asked_for_as_servers_expect(written, asked, tmp_path: Path):
    with answering(reply(Content_Length=SIZE, body=BODY)) as script:
        download.download([f"{script.url}/{written}"], tmp_path / "f", SHA)
    assert script.asked[0].startswith(f"GET /{asked} HTTP/1.1\r\n")


@pytest.mark.parametrize("location", ["/air drumming/f", "/caf\xc3\xa9", "/caf%C3%A9?a=b c"])
def test_a_redirect_may_hold_them_too(location: str, tmp_path: Path):
    with answering(reply(Content_Length=SIZE, body=BODY)) as there:
        moved = reply("302 Found", Location=there.url + location)
        with answering(moved) as script:
            download.download([f"{script.url}/f"], tmp_path / "f", SHA)
    assert (tmp_path / "f").read_bytes() == BODY
    path = location.replace(" ", "%20").replace("\xc3\xa9", "%C3%A9")
    assert there.asked[0].startswith(f"GET {path} HTTP/1.1\r\n")


def test_credentials_go_to_their_host_alone_and_into_no_message(tmp_path: Path):
    with answering(reply("404 Not Found")) as there:
        moved = reply("302 Found", Location=f"{there.url}/f?token={SECRET}")
        with answering(moved) as script, pytest.raises(UserError) as e:
            url = script.url.replace("//", f"//me:{SECRET}@") + f"/f?token={SECRET}#{SECRET}"
            download.download([url], tmp_path / "f", SHA)
    assert "Authorization: Basic bWU6aHVudGVyMg==\r\n" in script.asked[0]
    assert "Authorization" not in there.asked[0] and f"token={SECRET}" in there.asked[0]
    line = one_line(str(e.value))
    assert SECRET not in line and f"{script.url}/f?...: HTTP 404 Not Found" in line


def test_a_resumed_download_notes_no_credentials(tmp_path: Path):
    cut = reply(Content_Length=SIZE, ETag='"a"', body=BODY[:99])
    with answering(cut) as script, pytest.raises(UserError, match="broke off"):
        url = script.url.replace("//", f"//me:{SECRET}@") + f"/f?token={SECRET}"
        download.download([url], tmp_path / "f", None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f.part", "f.part.json"]
    assert SECRET not in (tmp_path / "f.part.json").read_text()
    assert 'If-Range: "a"\r\n' in script.asked[1] and "bytes=99-" in script.asked[1]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://me:p@ss@a.org/f", "https://a.org/f"),
        ("https://me:p?s#s@a.org/f?t=1", "https://a.org/f?..."),
        ("https://a.org/x@y.avi", "https://a.org/x@y.avi"),
        ("https://a.org/f;token=1", "https://a.org/f?..."),
        ("https://a.org/\x1b[2J", "https://a.org/?[2J"),
        ("no address", "no address"),
    ],
)
def test_an_address_is_shown_without_what_is_secret(url: str, text: str):
    assert shown(url) == text


@pytest.mark.parametrize(
    "url",
    ["https://a.org/\n", "https://a.org:x/", "https://[::1/", "https:///f", "http://a.org", "x"],
)
def test_what_is_no_safe_address(url: str):
    assert not is_safe(url)


def test_other_alphabets_have_an_ascii_form():
    assert encoded("https://b\u00fccher.example/\u00fc") == "https://xn--bcher-kva.example/%C3%BC"
    assert encoded("https://[::1]:8/f") == "https://[::1]:8/f"


# --- the place of the file ---


@pytest.mark.parametrize("what", ["folder", "broken link", "part is a link", "part is a folder"])
def test_what_is_no_file_is_named_before_anything_is_asked_for(what: str, tmp_path: Path):
    place, victim = tmp_path / "f", tmp_path / "victim"
    victim.write_bytes(b"mine")
    part = tmp_path / "f.part"
    {
        "folder": place.mkdir,
        "broken link": lambda: place.symlink_to("nowhere"),
        "part is a link": lambda: part.symlink_to(victim),
        "part is a folder": part.mkdir,
    }[what]()
    with answering(reply(Content_Length=SIZE, body=BODY)) as script, pytest.raises(UserError) as e:
        download.download([f"{script.url}/f"], place, SHA)
    assert "is there and is no" in one_line(str(e.value)) and not script.asked
    assert victim.read_bytes() == b"mine"


# --- any bytes ---


def test_replies_changed_at_random_are_one_line_or_the_file(tmp_path: Path):
    rng = random.Random(0)
    whole = reply(
        Content_Length=SIZE, ETag='"abc"', Content_Type="application/zip", Location="/g", body=BODY
    )
    head = whole.index(b"\r\n\r\n") + 4
    came = 0
    for k in range(100):
        sent = bytearray(whole)
        for _ in range(rng.randrange(1, 4)):
            at = rng.randrange(head)
            change = rng.choice(
                [b"", b"\r\n", b"\0", b"\x1b[2J", b"302", bytes([rng.randrange(256)])]
            )
            sent[at : at + rng.randrange(3)] = change
        place = tmp_path / str(k)
        with answering(bytes(sent)) as script:
            try:
                download.download([f"{script.url}/f"], place, SHA, SIZE)
            except UserError as e:
                assert one_line(str(e)).isprintable(), bytes(sent[:head])
                assert not place.exists()
            else:
                came += 1
                assert place.read_bytes() == BODY, bytes(sent[:head])
    assert 10 < came < 90
