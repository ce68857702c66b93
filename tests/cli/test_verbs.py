"""Every verb has its parts and its help; every rule has its verb; light verbs import no torch."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.common import REPO, one_line, plan_at

from vidtune.cli import rules
from vidtune.cli.main import VERBS, find_verbs

LIGHT = (
    [],
    ["--help"],
    ["ls"],
    ["plan"],
    ["stale"],
    ["diff", "--help"],
    ["data", "status"],
    ["train", "--help"],
)


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_has_arguments_a_run_and_help(name, capsys):
    verb = VERBS[name]
    assert callable(verb.arguments) and callable(verb.run)
    with pytest.raises(SystemExit) as ended:
        from vidtune.cli import main

        main([name, "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert out.startswith(f"usage: vidtune {name}") and verb.__doc__.split("\n")[0] in out


def test_a_rule_calls_the_verb_of_its_name():
    calls = set()
    for path in (REPO / "workflow/rules").glob("*.smk"):
        for rule in re.split(r"^ *rule ?", path.read_text(), flags=re.M)[1:]:
            for verb in re.findall(r"python -m vidtune (\w+) ", rule):
                calls.add(verb)
                assert rule.startswith(verb) or f'f"{verb}' in rule, rule
    assert calls == set(find_verbs(rules))


def test_the_run_that_the_help_of_train_names_exists():
    spec = plan_at(Path("results"), "smoke").spec_of("runs", "side4video/b16-ssv1@0")
    assert f"vidtune train --spec {spec} --out" in VERBS["train"].__doc__
    assert "side4video/b16-ssv1@0" in plan_at(Path("results"), "smoke").runs


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_a_light_verb_imports_no_torch(words):
    code = (
        "import sys\nfrom vidtune.cli import main\n"
        f"try: main({words})\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_spec_file_that_is_missing_is_one_line(vidtune, tmp_path):
    for verb in ("generate", "pretrain", "premise", "train", "evaluate", "cost", "memory"):
        code, _, err = vidtune(verb, "--spec", tmp_path / "no.json", "--out", tmp_path / "out")
        assert code == 2 and "no.json" in one_line(err)


def test_no_temporary_folder_is_one_line(vidtune, monkeypatch):
    def none() -> None:
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr("vidtune.cli.launch.tempfile.TemporaryFile", none)
    code, _, err = vidtune("train", "--spec", "x", "--out", "y", "--ranks", 2)
    assert code == 2 and "TMPDIR: No usable temporary directory" in one_line(err)
