"""Every published number was typed twice, apart: `config/papers` and `tests/helpers/transcription.yaml`.

The comparison is by content, table by table: no cell of either side may lack its partner, digits
count as printed (61.0 is not 61), and what has no second reading is named with its reason.
"""

import copy
import dataclasses
import itertools

import pytest
from helpers.common import REPO
from helpers.transcribed import TIMES, Tables, Transcript, cells, fits, published

from vidtune.plan import read_paper
from vidtune.spec import Paper


def paper(name: str) -> Paper:
    return read_paper(REPO / "config" / "papers" / f"{name}.yaml")


@pytest.fixture(scope="module", params=["side4video", "tempme"])
def readings(request) -> tuple[Transcript, Tables]:
    """Both readings of a paper; the second is not to be changed."""
    return Transcript.of(request.param), published(paper(request.param))


def loose(transcript: Transcript) -> set[tuple[str, tuple[str, str]]]:
    """Cells that no single printed cell pins: read from a plot, or merged over columns."""
    out = {(name, (row, metric)) for name, _, metric, rows in transcript.spans for row in rows}
    return out | {(where, cell) for where, alone in transcript.alone.items() for cell in alone}


def other_digit(value: str) -> str:
    """`value` with another last digit."""
    last = value[-1]
    return value[:-1] + (str((int(last) + 1) % 10) if last.isdigit() else "?")


def test_both_readings_agree(readings):
    transcript, tables = readings
    assert transcript.problems(tables) == []


def test_every_cell_counts(readings):
    """A digit changed, a zero more, a cell lost or one too many shows, whichever it is."""
    transcript, tables = readings[0], copy.deepcopy(readings[1])
    unpinned = loose(transcript)
    for where, table in tables.items():
        for cell, value in tuple(table.items()):
            wrong = (other_digit(value), f"{value}0", None) if (where, cell) not in unpinned else ()
            for other in (*wrong, *(["77"] if where == "Table 12" else [])):
                table[cell] = other
                assert transcript.problems(tables), f"{where}: {cell}: {other} for {value}"
            table[cell] = value
        table["b16-ssv1", "surplus"] = "1"
        assert transcript.problems(tables), where
        del table["b16-ssv1", "surplus"]
    assert transcript.problems(tables) == []


def test_swapped_rows_show(readings):
    """Two values of one column changed over, for every two that differ."""
    transcript, tables = readings[0], copy.deepcopy(readings[1])
    unpinned = loose(transcript)
    swaps = 0
    for where, table in tables.items():
        for one, other in itertools.combinations(table, 2):
            pinned = not {(where, one), (where, other)} & unpinned
            if one[1] != other[1] or table[one] == table[other] or not pinned:
                continue
            table[one], table[other] = table[other], table[one]
            assert transcript.problems(tables), f"{where}: {one} and {other}"
            table[one], table[other] = table[other], table[one]
            swaps += 1
    assert swaps > 50 and transcript.problems(tables) == []


def test_typed_cells_need_partners(readings):
    """A row or a table typed and placed nowhere shows."""
    transcript, tables = readings
    typed = copy.deepcopy(transcript.typed)
    typed["Table 2"]["rows"]["another"] = " ".join("1" for _ in typed["Table 2"]["columns"])
    typed["Table 99"] = typed["Table 2"]
    lines = dataclasses.replace(transcript, typed=typed).problems(tables)
    assert "Table 99: no partners" in lines
    assert sum(line.startswith("Table 2: another, ") for line in lines) == len(
        typed["Table 2"]["columns"]
    )


def test_words_and_views():
    """What is typed and no cell: Table 12's words, and the factor after a view's TFLOPs."""
    transcript = Transcript.of("side4video")
    (condition,) = (n.condition for n in paper("side4video").numbers if n.where == "Table 12")
    recipe = transcript.typed["Table 12"]["rows"]
    for row in transcript.places["Table 12"][0]["words"]:
        assert recipe[row].split(" ")[-1].replace("_", " ").casefold() in condition.casefold(), row
    for name in ("Table 4", "Table 5"):
        table = cells(transcript.typed[name])
        for row in transcript.typed[name]["rows"]:
            _, crops, clips = table[row, f"Frames{TIMES}Views"].split(TIMES)
            assert int(table[row, "TFLOPs"].split(TIMES)[1]) == int(crops) * int(clips), row


def test_merged_columns():
    """What a cell over several columns may stand for, and what not."""
    nine = ["1e-3", "1e-4", "1e-4"] * 3
    assert fits(["1e-3", "1e-4"] * 3, nine)
    assert not fits(["1e-3", "1e-4"] * 2, nine)
    assert not fits(["1e-4", "1e-3"] * 3, nine)
    assert not fits(["1e-3", "1e-5"] * 3, nine)
