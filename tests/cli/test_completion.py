"""Tab completion: argcomplete's protocol in-process of a shell, and bash itself."""

import os
import shlex
import shutil
import subprocess
import sys

import pytest
from helpers.common import REPO

CASES = [
    (["ver"], ["verify"]),
    (["explain", "side4video/table2/b16-ssv2/g"], ["side4video/table2/b16-ssv2/gflops"]),
    (["explain", "side4video/table2/ours-b"], ["side4video/table2/ours-b16/"]),
    (["cost", "tempme/tempme-"], ["tempme/tempme-b32", "tempme/tempme-b16"]),
    (["verify", "--kind", "c"], ["counted"]),
    (["verify", "--pap"], ["--paper", "--papers"]),
    (["verify", "--table", "table9"], ["table9a"]),
    (["claims", "te"], ["tempme"]),
    (["plan", "--scale", "s"], ["smoke"]),
    (["fetch", "vit-b"], ["vit-b16", "vit-b32"]),
    (["run", "tempme/table8"], ["tempme/table8"]),
    (["ls", "--method", "side"], ["side4video"]),
    (["data", "st"], ["status"]),
    (["data", "fetch", "msr"], ["msrvtt"]),
    (["train", "--spec", "pypr"], ["pyproject.toml"]),
    (["cost", "nothing"], []),
    (["__com"], []),
]


@pytest.fixture
def command(tmp_path):
    """A folder with a `vidtune` that runs this working copy."""
    script = tmp_path / "bin" / "vidtune"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nPYTHONPATH={REPO} exec {sys.executable} -m vidtune "$@"\n')
    script.chmod(0o755)
    return script.parent


def complete(words: list[str], code: str = "main()") -> subprocess.CompletedProcess[str]:
    """What a shell is answered on file descriptor 8 for the line `vidtune <words>`."""
    line = shlex.join(["vidtune", *words])
    given = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_SUPPRESS_SPACE": "1"}
    given |= {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    run = f"import sys; from vidtune.cli import main\n{code}"
    return subprocess.run(
        ["sh", "-c", f"{shlex.join([sys.executable, '-W', 'error', '-c', run])} 8>&1 9>&2"],
        capture_output=True, text=True, cwd=REPO, env=os.environ | {"PYTHONPATH": str(REPO)} | given,
    )  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), CASES)
def test_verbs_cells_variants_and_options_are_completed(words, expected):
    done = complete(words)
    assert (done.returncode, done.stderr) == (0, "")
    assert set(expected) <= set(done.stdout.split("\n"))
    assert bool(done.stdout.strip()) == bool(expected)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_bash_completes_by_the_printed_script(command):
    line = "vidtune cost tempme/tempme-"
    done = subprocess.run(
        [
            "bash",
            "-c",
            'eval "$(vidtune completion bash)"; complete -p vidtune >/dev/null || exit 3; '
            f"COMP_LINE='{line}'; COMP_POINT={len(line)}; _python_argcomplete vidtune; "
            'printf "%s\n" "${COMPREPLY[@]}"',
        ],
        capture_output=True,
        text=True,
        cwd=REPO,
        env={"PATH": f"{command}:/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert {"tempme/tempme-b32", "tempme/tempme-b16"} <= set(done.stdout.split())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script(vidtune, shell):
    code, out, _ = vidtune("completion", shell)
    assert code == 0 and "_ARGCOMPLETE" in out and "vidtune" in out


def test_completion_imports_no_torch():
    loaded = complete(
        ["explain", "side4video/table2/"],
        "import os; end = os._exit  # what argcomplete ends the process with\n"
        "os._exit = lambda code: end(code or 7 * ('torch' in sys.modules))\n"
        "main()",
    )
    assert (loaded.returncode, loaded.stderr) == (0, "")
    assert "side4video/table2/b16-ssv2/" in loaded.stdout


def test_completion_survives_a_broken_configuration(tmp_path):
    done = complete(["explain", "--config", str(tmp_path), "side4"])
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")
