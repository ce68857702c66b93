"""A results folder of the real configuration at scale mini with every kind of file; all numbers are made
up, and one run has diverged."""

from pathlib import Path

from helpers.common import plan_at
from vidtune.plan import Plan
from vidtune.report.numbers import result_files, results, rows
from vidtune.spec import write_json, write_text

DIVERGED, SEEDED = "side4video/b16-ssv1-w512@0", "side4video/b16-ssv1"
SHARES = {
    "top1": 60.0,
    "top5": 90.0,
    "pair": 80.0,
    "r1": 20.0,
    "r5": 50.0,
    "r10": 70.0,
    "rsum": 140.0,
    "v2t_r1": 19.0,
    "v2t_rsum": 135.0,
}
RECOGNITION = ("top1", "top5", "pair")
STAMP = {"digest": "000000000000", "device": "cpu", "commit": "abc", "versions": {"torch": "2"}}


def make_results(place: Path) -> Plan:
    """Write all results files and rows.csv below `place`; return their plan."""
    plan = plan_at(place)
    layers = [{"sequences": 12, "entering_attention": 50 - i, "leaving": 49 - i} for i in range(12)]
    one = {"gmacs": 50.0, "views": 1, "params_tuned": 5e5, "params_total": 1e8}
    one |= {"tokens": layers, "output_tokens": 97, "provenance": STAMP}
    for paper in plan.config.papers:
        models = [m for m in plan.models if m.startswith(f"{paper}/")]
        write_json(result_files.paper_path(plan, "costs", paper), dict.fromkeys(models, one))
    for name, run in plan.runs.items():
        status = "diverged" if name == DIVERGED else "ok"
        keys = RECOGNITION if run.model.task == "recognition" else (*SHARES.keys() - RECOGNITION,)
        metrics = {k: SHARES[k] + run.seed for k in sorted(keys)} if status == "ok" else {}
        result = {"status": status, "metrics": metrics, "n": 320, "seconds": 1.0}
        write_json(result_files.eval_path(plan, name), {**result, "provenance": STAMP})
        losses = [(10, 2.0), (20, 1.0)] if status == "ok" else [(10, 2.0), (20, float("nan"))]
        trained = {"status": status, "seconds": 2.0, "losses": losses}
        write_json(result_files.eval_path(plan, name).with_name("train.json"), trained)
    probe = {"top1": 0.4, "within_pairs": 0.5, "n": 320, "chance": [0.43, 0.57]}
    check = {"zero_shot": {"colour": 1.0, "size": 0.98}, "probe": probe, "holds": {"all": True}}
    premise = {"recognition": check, "retrieval": check}
    premise["references"] = {
        "recognition": {"chance": {"top1": 12.5, "pair": 50.0}, "linear probe": {"top1": 14.0}},
        "retrieval": {"chance": {"r1": 1.0, "pair": 50.0}, "zero-shot CLIP": {"r1": 15.0}},
    }
    write_json(plan.root / "backbones" / "mini" / "premise.json", premise)
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    return plan
