"""The cache of released files: where it is, what it holds, and the verb that fills it."""

import hashlib
import json
from pathlib import Path

import pytest
from helpers.common import one_line, plan_at
from helpers.served import BODY

from vidtune import provenance
from vidtune.remote import cache, download
from vidtune.spec import UserError, read

SHA = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDTUNE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


FILE = cache.ReleasedFile("f", "weights/f.pt", ("https://example.org/f",), SHA, len(BODY))


def test_the_cache_is_where_the_user_says(cached, monkeypatch):
    assert cache.folder() == cached
    monkeypatch.setenv("VIDTUNE_CACHE", "mine")
    assert cache.folder() == Path.cwd() / "mine"
    monkeypatch.setenv("VIDTUNE_CACHE", "")
    assert cache.folder().is_absolute() and cache.folder().name == "vidtune"


def test_an_absent_file_says_where_it_belongs(cached):
    with pytest.raises(UserError) as e:
        cache.find(FILE)
    text = one_line(str(e.value))
    for word in (str(cached / "weights/f.pt"), FILE.urls[0], "2,560,000 bytes", SHA, "fetch f"):
        assert word in text


def test_a_file_put_there_by_hand_is_checked(cached):
    path = cached / "weights/f.pt"
    path.parent.mkdir(parents=True)
    path.write_bytes(BODY)
    assert cache.find(FILE) == path
    path.write_bytes(BODY[::-1])
    with pytest.raises(UserError, match=f"f.pt: sha256 is not {SHA} but .*delete it"):
        cache.find(FILE)
    with pytest.raises(UserError, match="delete the file and fetch it again"):
        download.download(FILE.urls, path, SHA)
    path.write_bytes(BODY[:-1])
    with pytest.raises(UserError, match="2,559,999 bytes, not 2,560,000"):
        cache.find(FILE)


def test_a_cache_that_cannot_be_written(as_nobody, tmp_path, monkeypatch):
    shut = tmp_path / "shut"
    shut.mkdir(mode=0o755)
    monkeypatch.setenv("VIDTUNE_CACHE", str(shut))
    done = as_nobody("vidtune.remote.download", "fetch", "clip-bpe")
    assert done.returncode == 2
    text = one_line(done.stderr)
    assert f"{shut}/vocabularies" in text and "cannot write: Permission denied" in text
    monkeypatch.setenv("VIDTUNE_CACHE", str(Path(__file__)))
    done = as_nobody("vidtune.remote.download", "fetch", "clip-bpe")
    assert done.returncode == 2 and "VIDTUNE_CACHE" in one_line(done.stderr)


def test_the_verb_lists_and_fetches(cached, server, vidtune, config, monkeypatch):
    code, out, _ = vidtune("fetch", "--config", config, "--scale", "full")
    assert code == 0 and str(cached) in out and "weights/vit-b16.pt: absent" in out
    assert "bpe_simple_vocab_16e6.txt.gz: absent" in out
    assert "mini: no released file is needed" in vidtune("fetch", "--config", config)[1]
    yaml = config / "backbones.yaml"
    text = yaml.read_text()
    start = text.index("    url:")
    end = text.index("  source:", start)
    mine = f"    url: {server.url('whole/f')}\n    sha256: {SHA}\n    bytes: {len(BODY)}\n"
    yaml.write_text(text[:start] + mine + text[end:])
    code, out, _ = vidtune("fetch", "vit-b32", "--config", config)
    assert code == 0 and out == f"{cached / 'weights/vit-b32.pt'}\n"
    assert "vit-b32.pt: complete" in vidtune("fetch", "--config", config, "--scale", "full")[1]
    code, _, err = vidtune("fetch", "mini", "--config", config)
    assert code == 2 and "known: vit-b32, vit-b16, vit-l14, vit-e14, clip-bpe" in one_line(err)


def test_specs_know_no_machine(cached, tmp_path, monkeypatch):
    """The same jobs wherever the cache is."""
    specs = {k: read.dump(s) for k, s in plan_at(tmp_path, "full").specs().items()}
    monkeypatch.setenv("VIDTUNE_CACHE", str(tmp_path / "elsewhere"))
    again = plan_at(tmp_path, "full")
    assert {k: read.dump(s) for k, s in again.specs().items()} == specs
    run = again.runs["side4video/b16-ssv1@0"]
    assert run.weights is None and json.loads(read.dump(run))["weights"] is None
    assert [f.name for f in cache.needed(run)] == ["vit-b16"]
    reads = again.runs["side4video/dist-b16@0"], again.runs["tempme/tempme-b32@0"]
    assert {f.name for f in cache.needed(*reads)} == {"vit-b16", "vit-b32", "clip-bpe"}
    digest = provenance.run_digest(run)
    monkeypatch.delenv("VIDTUNE_CACHE")
    assert provenance.run_digest(run) == digest
