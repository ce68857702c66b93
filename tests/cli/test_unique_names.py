"""Names without their paper, names that come close, and what `ls` and `explain` leave out."""

import json

import pytest
from helpers.common import REPO, one_line

from vidtune.plan.names import find_table, find_variant, with_paper
from vidtune.spec import UserError


def test_the_paper_may_be_left_out_where_one_has_the_variant(plan):
    assert find_variant(plan, "b16-ssv2") == "side4video/b16-ssv2"
    assert find_variant(plan, "side4video/b16-ssv2") == "side4video/b16-ssv2"
    ends = [name.split("/")[1] for name in plan.variants]
    for name in plan.variants:
        paper, end = name.split("/")
        if ends.count(end) == 1:
            assert find_variant(plan, end) == name
        else:
            with pytest.raises(
                UserError, match=f"one of several papers; name one: .*{paper}/{end}"
            ):
                find_variant(plan, end)


@pytest.mark.parametrize(
    "name, meant",
    [
        ("side4video/b16-ssv3", "side4video/b16-ssv2"),
        ("Side4Video ViT-B/16 Something-Something V2", "side4video/b16-ssv2"),
        ("st_adapter kinetics", "side4video/st-adapter"),
        ("lora msrvtt vit-b16", "tempme/lora-b16"),
    ],
)
def test_a_name_that_is_close_in_spelling_or_meaning_is_suggested(name, meant, plan):
    with pytest.raises(UserError, match=f"did you mean .*{meant}"):
        find_variant(plan, name)


def test_nonsense_suggests_nothing(plan):
    with pytest.raises(UserError, match="'zzzzzz' is not known; known: "):
        find_variant(plan, "zzzzzz")


def test_tables_go_by_slug_title_and_file(plan):
    for name in ("tempme/table8", "tempme-table8", "tempme/Table 8"):
        assert find_table(plan, name) == "tempme/table8"
    assert find_table(plan, "table9a") == "side4video/table9a"
    with pytest.raises(
        UserError, match="one of several papers; name one: side4video/table2, tempme"
    ):
        find_table(plan, "table2")
    with pytest.raises(UserError, match=r"did you mean .*tempme/table8"):
        find_table(plan, "tempme/tabel8")


def test_a_cell_goes_without_its_paper_too(plan, vidtune, tmp_path):
    assert with_paper(plan, "table9f/b16-ssv1/top1") == "side4video/table9f/b16-ssv1/top1"
    assert with_paper(plan, "table2/b16-ssv2/top1") == "table2/b16-ssv2/top1"  # of both
    where = ("--config", REPO / "config", "--results", tmp_path)
    code, out, _ = vidtune("explain", "table9f/b16-ssv1/top1", "--brief", *where)
    lines = out.splitlines()
    assert code == 0 and lines[0].startswith("side4video/table9f/b16-ssv1/top1    ")
    assert [line.split()[0] for line in lines[1:]] == ["numbers", "verdict", "recompute"]
    assert len(vidtune("explain", "table9f/b16-ssv1/top1", *where)[1]) > 3 * len(out)


def test_ls_has_a_header_and_filters(vidtune):
    code, out, _ = vidtune(
        "ls", "--method", "tempme", "--backbone", "vit-b32", "--config", REPO / "config"
    )
    head, *rows, tail = out.splitlines()
    assert code == 0 and head.split()[:4] == ["variant", "method", "backbone", "dataset"]
    assert tail == f"{len(rows)} variants" and rows
    assert all(row.split()[1:3] == ["tempme", "vit-b32"] for row in rows)
    at = head.index("recipe")
    assert all(row[at - 1] == " " and row[at] != " " for row in rows)
    items = json.loads(
        vidtune(
            "ls",
            "--json",
            "--paper",
            "tempme",
            "--dataset",
            "didemo",
            "lsmdc",
            "--config",
            REPO / "config",
        )[1]
    )
    assert {(i["paper"], i["dataset"]) for i in items} == {
        ("tempme", "didemo"),
        ("tempme", "lsmdc"),
    }
    code, _, err = vidtune("ls", "--dataset", "msrvt", "--config", REPO / "config")
    assert code == 2 and "--dataset: 'msrvt' is not known; did you mean msrvtt" in one_line(err)
