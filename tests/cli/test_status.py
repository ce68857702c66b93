"""`vidtune` alone, what is left of a scale, and verbs that speak when there is nothing to say."""

import json
import os
import shlex

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune import estimate
from vidtune.cli.main import MEANT, SHARED, VERBS
from vidtune.plan import Plan
from vidtune.report import outputs, plots
from vidtune.spec import write_json, write_text

RUN = "side4video/b16-ssv1@0"


def jobs(plan: Plan) -> dict[str, tuple[int, int]]:
    """Rule -> (left, done)."""
    return {job.rule: (job.left, job.done) for job in estimate.jobs(plan) if job.left + job.done}


@pytest.fixture
def smoke(tmp_path, monkeypatch) -> Plan:
    """The smoke scale with its specs written, and the folder of its videos elsewhere."""
    monkeypatch.chdir(tmp_path)
    plan = plan_at(tmp_path / "results", "smoke")
    plan.write_specs()
    return plan


def test_plan_counts_what_is_left(smoke):
    assert jobs(smoke) == {rule: (n, 0) for rule, n in smoke.counts().items()}
    before = estimate.estimate(smoke)
    result = smoke.root / "runs" / RUN / "eval.json"
    write_json(result, {})
    write_json(smoke.root / "costs" / "tempme.json", {})
    (name,) = smoke.pretrainings
    write_text(smoke.root / "backbones" / name / "clip.pt", "")
    after = jobs(smoke)
    assert after["learn"] == (smoke.counts()["learn"] - 1, 1)
    assert (after["cost"], after["memory"], after["pretrain"]) == ((1, 1), (2, 0), (0, 1))
    now = estimate.estimate(smoke)
    assert now["left"] == before["left"] - 3 and now["done"] == 3
    assert now["seconds_2_cores"] < before["seconds_2_cores"]


def test_a_result_of_another_spec_is_left_to_do(smoke):
    result = smoke.root / "runs" / RUN / "eval.json"
    write_json(result, {})
    assert jobs(smoke)["learn"][1] == 1
    spec = smoke.spec_of("runs", RUN)
    os.utime(spec, (2e9, 2e9))  # written after the result
    assert jobs(smoke)["learn"][1] == 0
    os.utime(spec, (1e9, 1e9))
    assert jobs(smoke)["learn"][1] == 1
    write_text(spec, "{}")
    os.utime(spec, (1e9, 1e9))
    assert jobs(smoke)["learn"][1] == 0


def finish(plan: Plan) -> None:
    """Files where the results of all jobs would be."""
    for name in plan.generated:
        write_text(plan.root.parent.parent / "data" / name / "manifest.json", "")
    for name in plan.pretrainings:
        for file in ("clip.pt", "premise.json"):
            write_text(plan.root / "backbones" / name / file, "")
    for paper in plan.config.papers:
        for kind in ("costs", "memory"):
            write_json(plan.root / kind / f"{paper}.json", {})
    for run in set(plan.evaluation_of.values()):
        write_json(plan.root / "runs" / run / "eval.json", {})
    for run in set(plan.looks.values()):
        write_text(plan.root / "looks" / f"{run}.npz", "")
    for path in (plan.root / "rows.csv", *outputs.files(plan)):
        write_text(path, "")


def test_nothing_is_left_where_all_is_done(smoke, vidtune):
    finish(smoke)
    assert {left for left, _ in jobs(smoke).values()} == {0}
    where = ("--config", REPO / "config", "--results", smoke.root.parent, "--scale", "smoke")
    code, out, _ = vidtune("plan", *where)
    assert code == 0 and f"nothing is left to do: all {sum(smoke.counts().values())} jobs" in out
    outputs.files(smoke)[0].unlink()
    assert jobs(smoke)["report"] == (1, 0)


def test_vidtune_alone_says_what_there_is_and_what_is_next(smoke, vidtune):
    where = ("--config", REPO / "config", "--results", smoke.root.parent)
    code, out, _ = vidtune(*where)
    assert code == 0
    runs = len(set(smoke.evaluation_of.values()))
    assert f"0 of {runs}" in out and "mini*" in out and "mini-long" in out
    assert f"snakemake --cores all --config results={smoke.root.parent} " in out
    assert "snakemake --cores all --config scale=smoke" in out
    finish(smoke)
    (smoke.root / "report.html").unlink()
    state = json.loads(vidtune("status", *where, "--scale", "smoke", "--json")[1])
    (one,) = (s for s in state["scales"] if s["scale"] == "smoke")
    assert (one["runs_done"], one["runs"], one["page"]) == (runs, runs, None)
    assert state["left"] == 1 and not state["locked"]
    write_text(smoke.root / "report.html", "")
    os.makedirs(".snakemake/locks")
    write_text(smoke.root.parent.parent / ".snakemake/locks/0.input.lock", "")
    out = vidtune("status", *where, "--scale", "smoke")[1]
    assert f"open {smoke.root / 'report.html'}" in out and "snakemake --unlock" in out
    assert "jobs are left" not in out


def test_full_scale_asks_for_data_first(tmp_path, vidtune):
    where = ("--config", REPO / "config", "--results", tmp_path, "--scale", "full")
    state = json.loads(vidtune("status", *where, "--json")[1])
    asked = f"--config {REPO / 'config'} --scale full --results {tmp_path}"
    assert state["next"][0][0] == f"vidtune data status {asked}"


def test_what_comes_next_is_of_the_same_choice(tmp_path, vidtune):
    where = ("--results", tmp_path / "my results", "--papers", "tempme", "--seeds", "3", "4")
    state = json.loads(vidtune("status", "--config", REPO / "config", *where, "--json")[1])
    commands = [shlex.split(command) for command, _ in state["next"]]
    settings = [f"results={tmp_path}/my results", "papers=[tempme]", "seeds=[3,4]"]
    assert ["snakemake", "--cores", "all", "--config", *settings] in commands
    known = ["vidtune", "plan", "--config", str(REPO / "config"), *map(str, where)]
    assert known in commands
    assert vidtune(*known[1:])[0] == 0


def test_every_file_that_is_shown_is_known(plan):
    assert tuple(plots.PLOTS) == outputs.PLOTS
    names = [str(path.relative_to(plan.root)) for path in outputs.files(plan)]
    assert len(set(names)) == len(names) and "tables/side4video-table2.tex" in names


def test_stale_speaks_and_prints_paths_alone(tmp_path, vidtune):
    where = ("--config", REPO / "config", "--results", tmp_path, "--scale", "smoke")
    code, out, err = vidtune("stale", *where)
    assert (code, out) == (0, "") and "no results yet" in one_line(err)
    result = {"gmacs": 1.0, "views": 1, "params_total": 1.0, "params_tuned": 1.0}
    result |= {"tokens": [], "output_tokens": 1, "provenance": {"digest": "old", "spec": ""}}
    path = plan_at(tmp_path, "smoke").root / "costs" / "tempme.json"
    write_json(path, {"tempme/tempme-b32": result})
    code, out, err = vidtune("stale", *where)
    assert out == f"{path}\n" and "1 of 1 results" in one_line(err)
    found = json.loads(vidtune("stale", *where, "--json")[1])
    assert found == {"scale": "smoke", "results": 1, "stale": [str(path)]}


def test_a_word_that_is_no_verb_is_one_line(vidtune):
    for word, meant in (("list", "ls"), ("verfy", "verify"), ("download", "fetch")):
        code, _, err = vidtune(word)
        assert code == 2 and f"did you mean {meant}?" in one_line(err)
    assert set(MEANT.values()) <= set(VERBS) and not set(MEANT) & set(VERBS)
    assert set(SHARED) < set(VERBS)


def test_verbs_of_people_come_first():
    names = list(VERBS)
    people, called = names[: names.index("collect")], names[names.index("collect") :]
    assert people == sorted(people) and {"cost", "explain", "run", "status"} <= set(people)
    assert set(called) == {
        "collect",
        "evaluate",
        "generate",
        "learn",
        "look",
        "premise",
        "pretrain",
        "report",
        "train",
    }


def test_an_argument_that_a_verb_does_not_know_is_refused(capsys):
    from vidtune.cli import main

    for words in (["ls", "--no-such"], ["stale", "--cores", "2"]):
        try:
            main(words)
        except SystemExit as e:
            assert e.code == 2
        assert f"unrecognized arguments: {' '.join(words[1:])}" in capsys.readouterr().err


def test_verify_says_that_it_counts_and_that_nothing_is_learned(tmp_path, vidtune):
    where = ("--config", REPO / "config", "--results", tmp_path, "--paper", "tempme")
    code, out, err = vidtune("verify", "--table", "table2", "--kind", "learned", *where)
    last = out.splitlines()[-1]
    assert code == 0 and err == "" and last.startswith("nothing is learned yet at scale mini (no ")
    assert last.endswith(f"snakemake --cores all --config scale=mini results={tmp_path}")
    code, out, err = vidtune("verify", "--table", "table8", "--kind", "counted", *where)
    assert code == 0 and "counting at full size: " in err and "match" in out


def test_fetch_says_when_nothing_is_lacking(tmp_path, vidtune, monkeypatch):
    monkeypatch.setenv("VIDTUNE_CACHE", str(tmp_path))
    where = ("--config", REPO / "config", "--scale", "full")
    files = json.loads(vidtune("fetch", "--json", *where)[1])
    assert {f["state"] for f in files} == {"absent"} and {"name", "bytes", "path"} < set(files[0])
    out = vidtune("fetch", *where)[1]
    assert out.splitlines()[-1] == f"next: vidtune fetch {' '.join(f['name'] for f in files)}"
    monkeypatch.setattr("vidtune.remote.cache.file_exists", lambda path: True)
    monkeypatch.setattr("vidtune.remote.cache.describe_mismatch", lambda *known: None)
    assert vidtune("fetch", *where)[1].splitlines()[-1] == "all are complete"
    monkeypatch.setattr("vidtune.remote.download.download", lambda *known: None)
    code, out, err = vidtune("fetch", "clip-bpe", *where[:2])
    assert code == 0 and out.endswith(".txt.gz\n") and "was there already" in one_line(err)
