"""CLIP's tokenizer on awkward strings; the ids were printed by openai/CLIP's own at d05afc4."""

import pytest
import torch

from vidtune.data import bpe
from vidtune.data.text import EOT, SOT, tokenizer
from vidtune.remote import cache
from vidtune.spec import UserError

needs_vocabulary = pytest.mark.skipif(
    not cache.CLIP_BPE.path.exists(),
    reason="CLIP's BPE vocabulary is not in the cache (vidtune fetch clip-bpe)",
)

IDS = [
    ("a man is talking", [320, 786, 533, 2578]),
    (
        "THEY'RE can't I'll we've he'd i'm it's",
        [889, 982, 753, 713, 328, 1342, 649, 1200, 797, 1896, 328, 880, 585, 568],
    ),
    ("don\u2019t \u201cquote\u201d", [847, 713, 257, 4020, 257]),
    ("fish &amp; chips", [2759, 261, 8855]),
    ("fish &amp;amp; chips &amp;lt;b&amp;gt;", [2759, 261, 8855, 283, 321, 285]),
    ("&#39;hi&#39;&nbsp;there&eacute;", [262, 1883, 262, 5283, 4166]),
    ("caf\xe9 na\xefve \xc5ngstr\xf6m", [15304, 1097, 35689, 563, 23176, 10352, 807, 7255, 332]),
    ("cafe\u0301", [15304]),
    ("\xe2\u20ac\u2122s \xc3\xa9t\xc3\xa9", [568, 3459, 39694]),
    (
        "\U0001f600 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea",
        [7334, 26304, 26304, 964, 356, 21531],
    ),
    (
        "\u65e5\u672c\u8a9e\u306e\u52d5\u753b",
        [39121, 44353, 34002, 252, 21575, 47505, 243, 20211, 375],
    ),
    (
        "\u0432\u0438\u0434\u0435\u043e \u043f\u0440\u043e \u043a\u043e\u0442\u0430",
        [39813, 29503, 112, 22176, 29386, 26302, 16370, 29386, 27152, 28599, 27080],
    ),
    (
        "\u0641\u064a\u062f\u064a\u0648 \u0642\u0635\u064a\u0631",
        [24112, 12046, 19872, 12046, 38310, 27585, 27271, 12046, 24933],
    ),
    ("\u0939\u093f\u0928\u094d\u0926\u0940", [29446, 26721, 26090, 19389, 29552, 25751]),
    ("\ud55c\uad6d\uc5b4", [15197, 250, 31871, 255, 31625, 368]),
    ("a\x00b\x07c\td\ne\x85f\u2028g", [5334, 323, 324, 959, 325, 326]),
    ("\ud83d\ude00 \ud800", [7334, 39802]),
    ("\uff21\uff22\uff23 \ufb01ne \uff11\uff12", [5334, 3797, 272, 273]),
    (
        "123,456.78 \xbd \u216b",
        [272, 273, 274, 267, 275, 276, 277, 269, 278, 279, 33613, 158, 227, 375],
    ),
    ("!!!??? ... --", [11194, 3824, 678, 2432]),
    ("", []),
    ("  \t\n ", []),
    ("<|endoftext|> a <|STARTOFTEXT|>", [49407, 320, 49406]),
    ("\u017f's \u0130 \xdf", [129, 379, 568, 328, 16384, 127, 509]),
]


@needs_vocabulary
@pytest.mark.parametrize("text, ids", IDS, ids=range(len(IDS)))
def test_awkward_strings(text, ids):
    tokens = tokenizer("clip-bpe", 77)([text])
    assert tokens.shape == (1, 77) and tokens.dtype == torch.long
    assert tokens[0].tolist() == [bpe.SOT, *ids, bpe.EOT, *[0] * (75 - len(ids))]


@needs_vocabulary
def test_a_long_word_is_joined_as_far_as_pairs_go():
    ids = [1642, 2857, 13093, 2076, 5868, 26850, 835, 639]
    text = "supercalifragilisticexpialidocious"
    tokens = tokenizer("clip-bpe", 77)([text * 3])[0, 1:30].tolist()
    assert tokens == [*ids, 698, 1987, *ids, 698, 1987, *ids, 38466]
    assert (tokenizer("clip-bpe", 32)([text * 200])[0] > 0).all()


@needs_vocabulary
def test_truncation_keeps_the_end_of_text():
    full = tokenizer("clip-bpe", 77)(["one two three four five six"])[0, :8].tolist()
    for context in range(3, 8):
        cut = tokenizer("clip-bpe", context)(["one two three four five six", "one"])
        assert cut[0].tolist() == [*full[: context - 1], bpe.EOT]
        assert cut[1].tolist() == [*full[:2], bpe.EOT, *[0] * (context - 3)]


@needs_vocabulary
def test_another_vocabulary_is_refused(tmp_path, monkeypatch):
    other = tmp_path / cache.CLIP_BPE.place
    other.parent.mkdir()
    other.write_bytes(cache.CLIP_BPE.path.read_bytes()[:-1] + b"?")
    monkeypatch.setenv("VIDTUNE_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"vocab_16e6\.txt\.gz: sha256 is not 924691ac"):
        tokenizer("clip-bpe", 77)


def test_an_absent_vocabulary_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDTUNE_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="no such file; run `vidtune fetch clip-bpe`, or put https"):
        tokenizer("clip-bpe", 77)


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("  Two\tWords\n", "two words"),
        ("a &amp;amp;amp;lt; b", "a < b"),
        ("< &amp;amp;lt;", "< &lt;"),
        ("A&nbsp;\u3000\x07B", "a b"),
        ("\ufeffx\u2028y", "x y"),
        ("\x00\x1f", ""),
    ],
)
def test_cleaning(text, cleaned):
    assert bpe.clean_caption(text) == cleaned


# --- the words of generated captions ---


def test_tokens_are_start_words_end_and_zeros():
    ids = tokenizer("motion", 6)(["a small red circle", "a", " ".join(["red"] * 9)])
    assert ids.dtype == torch.long
    assert ids[1].tolist() == [SOT, ids[0, 1].item(), EOT, 0, 0, 0]
    assert ids[0, 5] == EOT and (ids[2, 1:5] == ids[2, 1]).all() and ids[2, 5] == EOT


def test_an_unknown_word_is_one_line():
    with pytest.raises(UserError, match="'purple' is not among"):
        tokenizer("motion", 8)(["a purple circle"])
