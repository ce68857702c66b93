"""The whole DAG at smoke scale in a copy of the repository, with a method that somebody adds."""

import csv
import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.common import REPO, plan_at
from helpers.documents import DOCUMENTS, blocks, commands
from snakemake.cli import get_argument_parser as snakemakes_parser

from vidtune.cli.main import make_parser, read_arguments
from vidtune.report import outputs

# What a researcher writes beside `vidtune new method mine`.
(PAPER, *_) = blocks(REPO / "docs/own-method.md", "yaml")


def snakemake(place: Path, *args: str) -> str:
    """The output of Snakemake, run in the folder `place`."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--config", "scale=smoke"]
    command += ["papers=[side4video, tempme, me]", *args]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=500)
    out = done.stdout + done.stderr
    assert done.returncode == 0, out[-6000:]
    return out


def planned(place: Path) -> set[tuple[str, str]]:
    """(rule, variant or paper or "") of every job that would run; one that shows a message has no more."""
    out = snakemake(place, "-n", "--quiet", "reason")
    jobs = set()
    for job in re.split(r"\nrule ", out)[1:]:
        name = re.search(r"wildcards: (?:learned|run|paper)=([\w/-]+)", job)
        jobs.add((job.split(":")[0], name[1] if name else ""))
    jobs |= {(rule, "") for rule in re.findall(r"^Job \d+: (\w+):", out, flags=re.M)}
    return jobs - {("all", "")}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.fixture(scope="module")
def place(tmp_path_factory, counted_costs):
    place = tmp_path_factory.mktemp("pipeline") / "copy"
    skip = shutil.ignore_patterns(".git", ".venv", ".snakemake", "smoke", "mini", "full", "*.pyc")

    def skipped(folder: str, names: list[str]) -> set[str]:
        made = {"data"} if Path(folder) == REPO else set()  # not vidtune/data, which is code
        return skip(folder, names) | made

    shutil.copytree(REPO, place, ignore=skipped)
    new = [sys.executable, "-m", "vidtune", "new", "method", "mine"]
    subprocess.run(new, cwd=place, capture_output=True, check=True)
    (place / "config/papers/me.yaml").write_text(PAPER)
    scales = place / "config/scales.yaml"
    text = scales.read_text()
    scales.write_text(text.replace("  learn:\n    - ", "  learn:\n    - me/*\n    - ", 1))
    _, kept = counted_costs  # of all papers but the added one
    shutil.copytree(kept, place / "results/smoke/costs/kept")
    output = snakemake(place)
    return place, output


def test_a_clone_ends_in_a_report(place):
    root = place[0] / "results/smoke"
    page = (root / "report.html").read_text()
    for text in ("side4video/b16-ssv1", "tempme/tempme-b32", "528", "121.4"):
        assert text in page
    rows = table(root / "rows.csv")
    counted = {
        (r["variant"], r["metric"]): float(r["value"])
        for r in rows
        if r["source"] == "ours" and r["kind"] == "counted"
    }
    assert counted["side4video/b16-ssv2", "gflops"] == pytest.approx(528, rel=0.005)
    learned = {r["variant"] for r in rows if r["source"] == "ours" and r["kind"] == "learned"}
    assert {"side4video/b16-ssv1", "side4video/b32-msrvtt", "tempme/tempme-b32"} <= learned
    assert all(
        r["scale"] == "smoke" for r in rows if r["kind"] == "learned" and r["source"] == "ours"
    )


def test_the_end_says_what_was_found(place):
    found = [
        line for line in place[1].splitlines() if re.match(r"(premise|motion|counted): ", line)
    ]
    assert [line.split(": ")[0] for line in found] == ["premise", "motion", "counted"]
    assert "expected range: none is known of scale smoke" in place[1]


def test_progress_with_an_estimate(place):
    lines = re.findall(r"vidtune: (\d+) of (\d+) jobs in .*, about .* left", place[1])
    assert [int(done) for done, _ in lines] == [*range(1, int(lines[-1][1]) + 1)]
    assert len(lines) > 15


def test_an_added_method_has_its_row_everywhere(place):
    root = place[0]
    run = [sys.executable, "-m", "vidtune", "ls", "--json", "--config", "config"]
    config = root / "config/config.yaml"
    config.write_text(
        config.read_text().replace("[side4video, tempme]", "[side4video, tempme, me]")
    )
    listed = subprocess.run(run, cwd=root, capture_output=True, text=True, check=True).stdout
    config.write_text((REPO / "config/config.yaml").read_text())
    assert '"me/b16-ssv1"' in listed
    rows = table(root / "results/smoke/rows.csv")
    own = {r["metric"] for r in rows if r["variant"] == "me/b16-ssv1"}
    assert {"top1", "gflops", "params_tuned"} <= own
    tables = [
        p for p in (root / "results/smoke/tables").glob("*.csv") if "me/b16-ssv1" in p.read_text()
    ]
    assert tables and "me/b16-ssv1" in (root / "results/smoke/report.html").read_text()


def test_nothing_to_do_twice(place):
    assert "Nothing to be done" in snakemake(place[0])


def shown(root: Path) -> dict[Path, int]:
    """When each table, plot and the page were written."""
    files = (*root.glob("tables/*"), *root.glob("plots/*"), root / "report.html")
    return {path: path.stat().st_mtime_ns for path in files}


def test_a_table_or_plot_that_was_deleted_is_made_again_alone(place):
    root = place[0] / "results/smoke"
    before = shown(root)
    assert len(before) > 100
    for name in ("tables/side4video-table2.tex", "plots/gflops.svg"):
        path = root / name
        content, at = path.read_bytes(), shown(root)
        path.unlink()
        target = ["--", str(path.relative_to(place[0]))] if path.suffix == ".tex" else []
        out = snakemake(place[0], *target)
        assert "report_missing: 1 files" in out and "report: " not in out
        now = shown(root)
        assert path.read_bytes() == content and {p for p in now if now[p] != at[p]} == {path}
    assert "Nothing to be done" in snakemake(place[0])


def test_snakemakes_own_report_holds_the_results(place):
    snakemake(place[0], "--report", "report.html")
    text = (place[0] / "report.html").read_text()
    for part in (
        "side4video-table2.tex",
        "gflops.svg",
        "rows.csv",
        "A published table, or an overview",
    ):
        assert part in text
    assert text.count('"labels": {"plot": "gflops"}') == 1  # as svg, and not as png too


def test_a_missing_result_is_made_again_without_training(place):
    folder = place[0] / "results/smoke/runs/me/b16-ssv1@0"
    result, trained = folder / "eval.json", (folder / "model.pt").stat().st_mtime_ns
    before = json.loads(result.read_text())
    result.unlink()
    snakemake(place[0], "--", str(result.relative_to(place[0])))
    assert json.loads(result.read_text())["metrics"] == before["metrics"]
    assert (folder / "model.pt").stat().st_mtime_ns == trained
    snakemake(place[0])  # what follows of it is made again


def test_where_seeds_are_not_together_a_training_and_a_test_are_jobs(place):
    scales = place[0] / "config/scales.yaml"
    before = scales.read_text()
    scales.write_text(before.replace("  together: true\n", "", 1))
    name = "side4video/b16-ssv1"
    results = [f"other/smoke/runs/{name}@0/eval.json", "results=other"]
    out = snakemake(place[0], results[1], "-n", "--quiet", "reason", "--", results[0])
    assert re.findall(r"\nrule (train|evaluate|learn):", out) == ["train", "evaluate"]
    scales.write_text(before)


def test_a_published_number_reruns_collect_and_report_only(place):
    assert planned(place[0]) == set()
    paper = place[0] / "config/papers/side4video.yaml"
    before = paper.read_text()
    paper.write_text(before.replace("top1: 70.2", "top1: 70.3"))
    assert planned(place[0]) == {("collect", ""), ("report", "")}
    paper.write_text(before)


def test_changed_code_marks_rows_stale(place):
    """Numbers that older code made are listed until they are made again."""
    source = place[0] / "vidtune/methods/mine/model.py"
    before = source.read_text()

    def stale() -> list[str]:
        run = [sys.executable, "-m", "vidtune", "stale", "--scale", "smoke"]
        config = place[0] / "config/config.yaml"
        text = config.read_text()
        config.write_text(text.replace("[side4video, tempme]", "[side4video, tempme, me]"))
        done = subprocess.run(run, cwd=place[0], capture_output=True, text=True, check=True)
        config.write_text(text)
        return done.stdout.split()

    assert stale() == []
    source.write_text(before.replace('"""The model', '"""Another docstring') + "# a comment\n")
    assert stale() == []
    source.write_text(before.replace("nn.GELU", "nn.SiLU"))
    names = [
        "results/smoke/costs/me.json",
        "results/smoke/runs/me/b16-ssv1@0/eval.json",
    ]
    assert stale() == names
    source.write_text(before)


# Commands of the documents that are only parsed here, by how they begin, and why.
APART = {
    "vidtune new method": "run before the pipeline",
    "vidtune train --spec results/full": "needs a real dataset",
    "vidtune evaluate --spec results/full": "needs a real dataset",
    "vidtune evaluate tempme/tempme-b32 --official": "needs a checkpoint of the authors",
    "vidtune fetch vit-b16": "downloads",
    "vidtune data ": "needs a real dataset",
    "vidtune plan --scale full": "predicts for minutes",
    "vidtune memory": "predicts for a minute; tests/cost/test_fits.py",
    "vidtune audit side4video": "counts for a minute; tests/cost/test_audit.py",
    "vidtune audit tempme": "counts for a minute; tests/cost/test_audit.py",
    "vidtune bench": "measures; tests/cost/test_measure.py",
}


def documented() -> list[str]:
    """Every command of the documents once, of the scale that is at hand."""
    every = [line for path in DOCUMENTS for line in commands(path)]
    return [line.replace("results/mini", "results/smoke") for line in dict.fromkeys(every)]


def ends(place: Path, line: str) -> None:
    """Check that a command ends with code 0, or 1 where that is an answer; training is not begun."""
    words = shlex.split(line.replace("other/mini", "results/smoke"))[1:]
    words += ["-n"] if words[:1] == ["run"] and "-n" not in words else []
    done = subprocess.run(
        [sys.executable, "-m", "vidtune", *words], cwd=place, capture_output=True, text=True
    )
    assert done.returncode == 0 and "Traceback" not in done.stderr, (line, done.stderr[-2000:])


def test_every_vidtune_command_of_the_documents(place):
    config = place[0] / "config/config.yaml"
    before = config.read_text()
    config.write_text(
        before.replace("[side4video, tempme]", "[side4video, tempme, me]").replace(
            "scale: mini", "scale: smoke"
        )
    )
    parser, lines = make_parser(), [c for c in documented() if c.startswith("vidtune")]
    assert len(lines) > 30
    for line in (line for line in lines if "$" not in line):  # those with variables are a script
        read_arguments(parser, shlex.split(line)[1:])
        if not line.startswith(tuple(APART)):
            ends(place[0], line)
    config.write_text(before)


def test_every_other_command_of_the_documents():
    """Targets of the Makefile are there, and Snakemake knows the words that it is given."""
    targets = set(re.findall(r"^([\w-]+):", (REPO / "Makefile").read_text(), flags=re.M))
    shown, plan = {str(f) for f in outputs.files(plan_at(Path("results")))}, snakemakes_parser()
    for line in {line for path in DOCUMENTS for line in commands(path)}:
        tool, *words = shlex.split(line)
        if tool == "make":
            assert {w for w in words if "=" not in w} <= targets, line
        elif tool == "snakemake":
            args = plan.parse_args(words)
            assert {str(t) for t in args.targets} <= shown | {"bench"}, line


def test_bad_config_stops_before_the_dag(place):
    command = [sys.executable, "-m", "snakemake", "-n", "--config", "scale=smal"]
    done = subprocess.run(command, cwd=place[0], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("vidtune: config/config.yaml: scale:")
    assert "Traceback" not in done.stderr


def test_an_option_reruns_its_variant_only(place):
    """Late, because it leaves the changed paper in the copy."""
    paper = place[0] / "config/papers/side4video.yaml"
    before = paper.read_text()
    assert before.count("{pool: vit_cls}") == 1
    paper.write_text(before.replace("{pool: vit_cls}", "{pool: vit_cls, fuse: sum}"))
    name = "side4video/b16-ssv1-cls"
    expected = {("learn", name), ("cost", "side4video")}
    assert planned(place[0]) == expected | {("collect", ""), ("report", "")}
    out = snakemake(place[0], "--until", "cost")
    log = (place[0] / "results/smoke/logs/cost/side4video.log").read_text()
    assert re.findall(r"side4video/\S+", log) == [name], out  # the others' costs were kept


def test_the_script_of_contributing(place, tmp_path):
    """One job of each kind by hand; the very last test, as it makes what the others rest on anew."""
    (script,) = [b for b in blocks(REPO / "CONTRIBUTING.md") if b.startswith("R=")]
    script = script.replace("/tmp/by-hand", str(tmp_path)).replace(
        "vidtune ", f"{sys.executable} -m vidtune "
    )
    subprocess.run(["bash", "-ec", script], cwd=place[0], check=True, capture_output=True)
    assert json.loads((tmp_path / "eval.json").read_text())["status"] == "ok"
