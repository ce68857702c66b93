"""Predicted memory and measured costs beside print: rows, verdicts, claims, the table's page.

All numbers in this file are made up.
"""

import re
from pathlib import Path

import pytest
from helpers.common import plan_at

from vidtune import provenance
from vidtune.report import claims, formats, tables, verdicts
from vidtune.report.cells import Cell
from vidtune.report.numbers import conditions, device_costs, result_files, results
from vidtune.report.numbers.rows import HERE, REFERENCE, rows_from_csv, rows_to_csv
from vidtune.report.page import page
from vidtune.spec import UserError, write_json, write_text

LIGHT, AIM = "side4video/b16-light-ssv2", "side4video/aim-b16"
CELL = "side4video/table2/b16-light-ssv2/train_gb"  # print: 8.9 GB at batch 32
FIT = {"slope": 1.07, "offset": 2.7, "fitted_on": ["made rows"], "gb": 8.8}
GIB = 8.9  # in use
BESIDE = 0.5  # GiB of CUDA and the driver


def memory(gib: float, **changes: object) -> dict[str, object]:
    return {
        "where": ["Table 2"],
        "convention": "made convention",
        "precision": "amp16",
        "batch": 32,
        "frames": 8,
        "train": {"peak_gib": gib},
        "inference": {"peak_gib": 1.0},
        "fit": FIT,
        **changes,
    }


def bench(gib: float | None, status: str = "ok", **conditions: object) -> dict[str, object]:
    """A measurement with so much in use when the method trains as released."""
    watched = {"peak_reserved_gib": 2.0, "nvml_device_gib": 2.0 + BESIDE}
    under = {"batch": 32, "frames": 8, "precision": "amp16", "device": "Made GPU", **conditions}
    return {
        "status": status,
        "conditions": under,
        "train": watched,
        "inference": {"videos_per_s": 9.0, **watched},
        "released": {"peak_reserved_gib": gib - BESIDE} if gib else {"status": status},
    }


def put(plan, scale: str, variant: str, content: dict[str, object]) -> None:
    write_json(device_costs.folders(plan)[scale] / "made-gpu" / f"{variant}.json", content)


def cell(plan, name: str = CELL) -> Cell:
    return next(c for c in verdicts.cells(plan, results.gather(plan)) if c.cell == name)


@pytest.fixture
def plan(tmp_path):
    return plan_at(tmp_path)


def test_predicted_memory_stands_beside_print_and_is_no_verdict(plan):
    write_json(result_files.paper_path(plan, "memory", "side4video"), {LIGHT: memory(5.71)})
    judged = cell(plan)
    assert judged.verdict == "not run" and judged.ours is None
    assert judged.predicted == {"train_gib": 5.71, "train_gb_fit": 8.8}
    assert "make bench-gpu" in judged.reason and "predicted 5.71 GiB beside it" in judged.reason
    row = next(r for r in results.gather(plan) if r.metric == "train_gb_fit")
    assert row.condition == (
        "made convention; batch 32; frames 8; precision amp16; "
        "fitted on made rows: 1.07 x GiB + 2.7 GB"
    )


def test_a_prediction_without_a_fit_has_no_calibrated_number(plan):
    write_json(
        result_files.paper_path(plan, "memory", "side4video"), {LIGHT: memory(5.71, fit=None)}
    )
    assert cell(plan).predicted == {"train_gib": 5.71}
    write_json(result_files.paper_path(plan, "memory", "side4video"), {LIGHT: {}})
    with pytest.raises(UserError, match="convention: missing"):
        results.gather(plan)


@pytest.mark.parametrize(
    ("content", "verdict", "says"),
    [
        (bench(GIB), "match", ""),
        (bench(GIB * 1.04), "match", ""),
        (bench(GIB * 1.2), "off", r"\+20.0 % of print on Made GPU \(batch 32; frames 8"),
        (bench(GIB, batch=16), "not comparable", "batch 16; print's is 32"),
        (bench(GIB, frames=16), "not comparable", "frames 16; print's is 8"),
        (bench(GIB, precision="fp32"), "not comparable", "precision fp32"),
        (bench(None, status="oom"), "not comparable", "out of memory on Made GPU"),
        (bench(GIB, status="busy"), "not comparable", "busy"),
    ],
)
def test_measured_memory_is_judged_under_the_same_conditions(plan, content, verdict, says):
    put(plan, HERE, LIGHT, content)
    judged = cell(plan)
    assert judged.verdict == verdict, judged
    assert re.search(says, judged.reason)
    assert judged.ours is None or judged.ours == pytest.approx(
        content["released"]["peak_reserved_gib"] + BESIDE
    )


def test_speed_is_compared_on_the_same_gpu_only(plan):
    put(plan, HERE, "tempme/tempme-b16", bench(1.0))
    judged = cell(plan, "tempme/table4/tempme-b16/throughput")
    assert (judged.verdict, judged.ours) == ("not comparable", 9.0)
    assert "Made GPU" in judged.reason


def test_frames_are_those_of_the_variant_not_of_print(plan):
    """DiST is given 16 frames where the table says 8."""
    put(plan, HERE, "side4video/dist-b16", bench(12.7, frames=16))
    assert cell(plan, "side4video/table2/dist-b16/train_gb").verdict == "match"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("A100 80G", "NVIDIA A100-SXM4-80GB", True),
        ("one A100", "NVIDIA A100-PCIE-40GB", True),
        ("RTX 3090", "NVIDIA GeForce RTX 3090", True),
        ("RTX 3090", "NVIDIA GeForce RTX 4090", False),
        ("A100 80G", "NVIDIA H200", False),
        ("4 GPUs", "NVIDIA H200", False),
        ("not stated", "cpu, made, 2 threads", False),
    ],
)
def test_gpus_are_the_same_by_their_model(one, other, same):
    assert conditions.agree("gpu", one, other) is same


def test_the_measurement_that_can_be_compared_is_taken(plan):
    put(plan, HERE, LIGHT, bench(1.0, batch=4))
    assert cell(plan).verdict == "not comparable"
    put(plan, REFERENCE, LIGHT, bench(GIB))
    assert cell(plan).verdict == "match"
    measured = [r for r in results.gather(plan) if r.metric == "train_gb" and r.source == "ours"]
    assert [r.scale for r in measured] == [HERE, REFERENCE]
    assert {r.device for r in measured} == {"Made GPU"}


def test_rows_of_every_kind_survive_the_csv(plan):
    put(plan, HERE, LIGHT, bench(GIB))
    write_json(result_files.paper_path(plan, "memory", "side4video"), {LIGHT: memory(5.71)})
    rows = results.gather(plan)
    assert {r.kind for r in rows if r.source == "ours"} == {"setting", "predicted", "measured"}
    write_text(plan.root / "rows.csv", rows_to_csv(rows))
    assert rows_from_csv(plan.root / "rows.csv") == rows
    put(plan, HERE, AIM, bench(None, status="oom"))
    write_text(plan.root / "rows.csv", rows_to_csv(results.gather(plan)))
    ended = next(r for r in rows_from_csv(plan.root / "rows.csv") if r.text == "oom")
    assert (ended.variant, ended.metric) == (AIM, "train_gb")


def test_memory_claims_are_judged_on_predicted_raw_gib(plan):
    both = {LIGHT: memory(5.71), AIM: memory(34.48)}
    write_json(result_files.paper_path(plan, "memory", "side4video"), both)
    findings = claims.findings(plan, results.gather(plan))
    judged = next(f for f in findings if f.claim == "side4video/three-quarters-less-memory")
    assert (judged.kind, judged.paper, judged.ours) == ("predicted", "holds", "exceeded")
    assert judged.detail.endswith("GiB (predicted): -83.4 %, more than the claimed -75 %")
    assert judged.beside.startswith(
        "fitted: b16-light-ssv2 8.8, aim-b16 8.8 GB (predicted): +0.0 %"
    )
    unjudged = next(f for f in findings if f.claim == "side4video/retrieval-memory")
    assert unjudged.ours == "not judged"


def test_a_measured_claim_holds_measurements_of_one_kind_together(plan):
    one, other = "tempme/tempme-b16", "tempme/vop-b16"
    claim = next(
        f.claim
        for f in claims.findings(plan, [])
        if f.metric == "throughput" and f.where == "Abstract"
    )

    def judge() -> tuple[str, str]:
        findings = claims.findings(plan, results.gather(plan))
        return next((f.ours, f.detail) for f in findings if f.claim == claim)

    def speed(videos: float, **under: object) -> dict[str, object]:
        return {**bench(None, **under), "inference": {"videos_per_s": videos}}

    put(plan, REFERENCE, one, speed(180.0))
    put(plan, HERE, one, speed(1.0, device="Made CPU"))
    assert judge()[0] == "not judged"
    put(plan, REFERENCE, other, speed(100.0, batch=16))
    assert judge()[0] == "not judged"  # nothing was measured alike
    put(plan, REFERENCE, other, speed(100.0))
    assert judge()[0] == "holds" and "+80.0 %" in judge()[1]
    put(plan, REFERENCE, one, {**bench(None, "oom"), "inference": {"status": "oom"}})
    assert judge()[0] == "not judged"


def test_only_the_phase_that_ran_out_of_memory_says_so(plan):
    ended = bench(None, "oom")
    del ended["inference"]
    put(plan, REFERENCE, LIGHT, ended)
    ended = [r.metric for r in results.gather(plan) if r.text == "oom"]
    assert ended == ["train_gb", "train_gb_log", "train_mb"]


def test_what_was_made_otherwise_is_stale(plan):
    digest = provenance.memory_digest("side4video")
    stamp = provenance.stamp(digest, "made", plan.models[LIGHT])
    fit = plan.config.papers["side4video"].fit
    line = {"slope": fit.slope, "offset": fit.offset, "fitted_on": list(fit.rows), "gb": 1.0}
    made = memory(5.7, attention="explicit", fit=line, provenance=stamp)
    path = result_files.paper_path(plan, "memory", "side4video")

    def stale(**changes: object) -> bool:
        write_json(path, {LIGHT: {**made, **changes}})
        return any(r.stale for r in results.gather(plan))

    assert not stale()
    assert stale(batch=999) and stale(attention="fused") and stale(fit={**line, "offset": 9.0})
    assert stale(provenance={**stamp, "digest": "old"})
    path.unlink()
    old = {**bench(GIB), "provenance": {"digest": "old"}}
    put(plan, REFERENCE, LIGHT, old)
    assert not any(r.stale for r in results.gather(plan))  # it is of the commit that it names
    put(plan, HERE, LIGHT, old)
    assert any(r.stale for r in results.gather(plan))


def table2(plan) -> tables.ShownTable:
    return next(
        t for t in tables.build(plan, results.gather(plan)) if t.name == "side4video-table2"
    )


def test_table_2_shows_print_counted_predicted_and_measured_side_by_side(plan):
    one = {"gmacs": 150.0, "views": 3, "params_tuned": 5e6, "params_total": 1e8}
    one |= {"tokens": [], "output_tokens": 97}
    write_json(result_files.paper_path(plan, "costs", "side4video"), {LIGHT: one})
    write_json(result_files.paper_path(plan, "memory", "side4video"), {LIGHT: memory(5.71)})
    put(plan, REFERENCE, LIGHT, bench(GIB))
    table = table2(plan)
    assert [(c.metric, c.label) for c in table.columns] == [
        ("gflops", "print"),
        ("gflops", "counted"),
        ("gflops", "verdict"),
        ("params_tuned", "print"),
        ("params_tuned", "counted"),
        ("params_tuned", "verdict"),
        ("train_gb", "print"),
        ("train_gb", "predicted, GiB"),
        ("train_gb", "fitted, GB"),
        ("train_gb", "measured"),
        ("train_gb", "verdict"),
        ("top1", "print"),
        ("top1", "verdict"),
    ]
    row = next(r for r in table.rows if r.variant == LIGHT)
    shown = [c.text(row.cells[c.metric]) for c in table.columns]
    assert shown[:6] == ["445", "450.0", "off", "4", "5.00", "match"]
    assert shown[6:11] == ["8.9", "5.71", "8.8", "8.9", "match"]
    assert any(
        text.endswith("made convention; fitted on made rows: 1.07 x GiB + 2.7 GB")
        for text in table.remarks
    )
    write_text(plan.root / "rows.csv", rows_to_csv(results.gather(plan)))
    page.write(plan)
    html = (plan.root / "report.html").read_text(encoding="utf-8")
    for origin in ("amp16; fitted on made rows", "scale: reference; device: Made GPU"):
        assert origin in html
    head = formats.to_csv(table).splitlines()[0]
    assert ",train_gb_print,train_gib,train_gb_fit,train_gb_ours,train_gb_verdict," in head


def test_the_measured_column_stands_even_where_nothing_was_measured(plan):
    columns = [c for c in table2(plan).columns if c.metric == "train_gb"]
    assert [c.label for c in columns] == ["print", "measured", "verdict"]
    put(plan, HERE, LIGHT, bench(None, status="oom"))
    row = next(r for r in table2(plan).rows if r.variant == LIGHT)
    assert columns[1].text(row.cells["train_gb"]) == "oom"


def test_verify_takes_a_paper_a_table_and_a_kind(plan, vidtune, tmp_path):
    write_json(result_files.paper_path(plan, "memory", "side4video"), {LIGHT: memory(5.71)})
    ask = ("verify", "--results", tmp_path, "--kind", "predicted")
    code, out, _ = vidtune(*ask, "--paper", "side4video", "--table", "Table 2")
    lines = out.splitlines()
    assert code == 0
    assert lines.pop().startswith("nothing is learned yet")
    assert {line.split("/")[1] for line in lines[:-1]} == {"table2"}
    assert any(line.startswith("not run") and "predicted 5.71 GiB" in line for line in lines)
    code, _, err = vidtune(*ask, "--table", "tabel2")
    assert code == 2 and "did you mean table2" in err


def test_folders_of_another_layout_are_no_measurements(plan):
    write_json(Path(device_costs.folders(plan)[HERE]) / "gpu" / "nobody" / "nothing.json", {})
    assert list(device_costs.measured(plan)) == []
