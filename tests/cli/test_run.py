"""`vidtune run`: the command that it turns into."""

import os
import sys

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune.cost import fits
from vidtune.cost.fits import Choice


class Started(Exception):
    """What `os.execv` would have become."""


@pytest.fixture
def started(monkeypatch, vidtune, tmp_path):
    """The arguments of Snakemake, for those of the verb."""

    def execv(path, words):
        assert path == sys.executable and words[:3] == [sys.executable, "-m", "snakemake"]
        raise Started(words[3:])

    def run(*words):
        with pytest.raises(Started) as e:
            vidtune("run", *words, "--results", tmp_path)
        return e.value.args[0]

    monkeypatch.chdir(REPO)
    monkeypatch.setattr(os, "execv", execv)
    return run


def test_a_table_is_the_runs_of_its_rows(started, tmp_path):
    plan = plan_at(tmp_path, "mini")
    words = started(
        "tempme/table8", "--scale", "mini", "--cores", "4", "-n", "--config", "gpus=1x1GiB"
    )
    at = words.index("--")
    assert words[:at] == [
        "--cores", "4", "-n", "--config", "scale=mini", f"results={tmp_path}", "gpus=1x1GiB",
    ]  # fmt: skip
    (numbers,) = (n for n in plan.config.papers["tempme"].numbers if n.where == "Table 8")
    rows = {f"tempme/{row}" for row in numbers.rows} & set(plan.variants)
    wanted = {plan.evaluation_of[r.name] for r in plan.runs.values() if r.model.name in rows}
    assert wanted and len(rows) < len(wanted)  # seeds
    assert words[at + 1 :] == list(dict.fromkeys(words[at + 1 :]))
    assert set(words[at + 1 :]) == {str(plan.root / "runs" / r / "eval.json") for r in wanted}


def test_a_variant_is_its_runs_on_all_cores(started, tmp_path):
    words = started("b16-ssv1-probe", "--scale", "smoke")
    name = "side4video/b16-ssv1-probe@0"
    assert words == [
        "--cores", "all", "--config", "scale=smoke", f"results={tmp_path}", "--",
        f"{tmp_path}/smoke/runs/{name}/eval.json",
    ]  # fmt: skip


def test_several_targets_are_one_command(started, tmp_path):
    words = started("b16-ssv1-probe", "lora-b32", "--scale", "smoke", "-n")
    files = ["side4video/b16-ssv1-probe@0", "tempme/lora-b32@0"]
    assert words[words.index("--") + 1 :] == [
        f"{tmp_path}/smoke/runs/{name}/eval.json" for name in files
    ]


def test_settings_of_snakemake_select_the_runs_too(started, tmp_path):
    words = started("b16-ssv1-probe", "--config", "scale=smoke", "seeds=[3, 4]")
    assert words[-2:] == [
        f"{tmp_path}/smoke/runs/side4video/b16-ssv1-probe@{seed}/eval.json" for seed in (3, 4)
    ]


def test_options_of_snakemake_that_stand_for_cores(started):
    for words in (["-c1"], ["--jobs", "3"], ["--profile", "workflow/profiles/slurm"]):
        given = started("b16-ssv1", "--scale", "smoke", *words)
        assert given[: len(words)] == words and "all" not in given


def test_a_profile_of_the_environment_stands_for_cores(started, monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_PROFILE", "workflow/profiles/slurm")
    assert "all" not in started("b16-ssv1", "--scale", "smoke")


def test_runs_that_do_not_fit_are_left_out(started, vidtune, monkeypatch, capsys):
    why = "a clip needs 9.0 GiB of the 6 that a GPU of 8 GiB has beside CUDA"

    def split(plan, names):
        return {name: why if name.endswith("@0") else Choice(1, 1, 8, 5.0) for name in names}

    monkeypatch.setattr(fits, "split_of", split)
    words = started("tempme/table8", "--scale", "mini", "--config", "gpus=1x8GiB")
    left = words[words.index("--") + 1 :]
    assert left and not any("@0/" in path for path in left) and why in capsys.readouterr().err
    monkeypatch.setattr(fits, "split_of", lambda plan, names: dict.fromkeys(names, why))
    code, _, err = vidtune("run", "tempme/table8", "--scale", "mini", "--config", "gpus=1x8GiB")
    assert code == 2 and "none of its runs fits gpus: 1x8GiB" in err and why in err


def test_what_cannot_be_run_is_one_line(vidtune, tmp_path, monkeypatch):
    monkeypatch.chdir(REPO)
    where = ("--results", tmp_path)
    for words, says in (
        (("tempme/table99",), "table: 'tempme/table99' is not known; did you mean"),
        (("tempme/lora-b16", "--scale", "smoke"), "scale smoke trains none of its rows"),
        (("b16-ssv1", "--scale", "full"), "no videos of ssv1; see `vidtune data status`"),
    ):
        code, _, err = vidtune("run", *words, *where)
        assert code == 2 and says in one_line(err)
    monkeypatch.chdir(tmp_path)
    code, _, err = vidtune("run", "b16-ssv1")
    assert code == 2 and "Snakefile: no such file here" in one_line(err)
