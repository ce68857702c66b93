"""Archives with a damaged header, and archives changed at random: none is taken for a whole one."""

import io
import random
import tarfile
from pathlib import Path

import pytest
from helpers.common import one_line
from helpers.staged import brought, dataset, flipped, member, refused, source, tarred, tree, zipped

from vidtune.datasets import extract
from vidtune.spec import UserError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "d"


SMALL = tarred({f"{i}.mp4": bytes([65 + i]) * 100 for i in range(5)})
MIDDLE = 2 * 1024  # of the third header


@pytest.mark.parametrize("place", [*range(0, 512, 7), 155])
def test_a_flipped_header_is_damage(place, root):
    brought(root, bad__tar=flipped(SMALL, MIDDLE + place))
    (line,) = refused(root, source(None, "bad.tar"))
    assert "bad.tar: damaged: " in line and not list((root / "raw").iterdir())


def with_times() -> bytes:
    """A tar as it is made of files: with times in headers of their own, and long names."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        for k in range(3):
            name = f"{'n' * 120}/{k}.mp4"
            t.addfile(member(name, size=9, mtime=1700000000.25 + k), io.BytesIO(b"123456789"))
    return out.getvalue()


@pytest.mark.parametrize("place", range(0, 190, 9))
def test_a_flipped_extended_header_is_damage(place, root):
    data = with_times()
    begins = data.index(b"mtime=", 2 * 2048) - 30 & ~511  # the second file's
    used = len(data[begins : begins + 512].rstrip(b"\0"))
    assert used > 150
    bad = flipped(data, begins + (place if place < used else 500))
    brought(root, bad__tar=bad)
    (line,) = refused(root, source(None, "bad.tar"))
    assert "bad.tar: " in line and not list((root / "raw").iterdir())


def test_a_tar_with_extended_headers_is_read(root):
    brought(root, v__tar=with_times())
    extract.run(dataset(source(None, "v.tar")), root, show=False)
    assert tree(root) == {f"raw/{'n' * 120}/{k}.mp4": b"123456789" for k in range(3)}


def test_a_header_of_zeros_is_not_the_end(root):
    """A download that broke off has such holes."""
    brought(root, bad__tar=SMALL[:MIDDLE] + bytes(512) + SMALL[MIDDLE + 512 :])
    (line,) = refused(root, source(None, "bad.tar"))
    assert "damaged: goes on after its end: a damaged header" in line and not tree(root)


def test_archives_changed_at_random_are_refused_in_one_line_or_whole(root):
    """A changed byte of a zip may be one that nothing depends on, such as a date."""
    rng = random.Random(0)
    files = {f"{i}/{i}.mp4": rng.randbytes(300) for i in range(4)}
    long = {f"{'n' * 120}/{k}": v for k, v in files.items()}  # headers of their own in a tar
    whole = 0
    for k in range(120):
        expected = long if k % 4 == 3 else files
        data = bytearray(zipped(expected) if k % 2 == 0 else tarred(expected))
        for _ in range(rng.randrange(1, 3)):
            at = rng.randrange(len(data))
            change = rng.choice([bytes([rng.randrange(256)]), bytes(40), b"\xff" * 9, b"../", b""])
            data[at : at + len(change) + rng.randrange(2)] = change
        place = root.with_name(str(k))
        brought(place, a__tar=bytes(data))
        try:
            extract.run(dataset(source(None, "a.tar")), place, show=False)
        except UserError as e:
            assert one_line(str(e)).isprintable()
            assert not tree(place) and not [*place.glob("raw/*")], k
        else:
            whole += 1
            assert len(tree(place)) == len(expected), k
            assert k % 2 or sorted(tree(place).values()) == sorted(expected.values())
    assert 5 < whole < 100
