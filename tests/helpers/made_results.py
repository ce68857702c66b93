"""A results folder of the real configuration at scale mini with every kind of file; all numbers are made
up, and one run has diverged."""

import json
from pathlib import Path
from typing import Any

import numpy as np

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
GIB = {"weights": 0.5, "gradients": 0.1, "optimizer": 0.2, "activations": 3.0, "workspace": 0.4}


def make_results(place: Path) -> Plan:
    """Write all results files and rows.csv below `place`; return their plan."""
    plan = plan_at(place)
    _costs(plan)
    _memory(plan)
    _runs(plan)
    _premise(plan)
    for k, run in enumerate(sorted({*plan.looks.values()})):
        write_look(plan.root / "looks" / f"{run}.npz", run, k)
    write_text(plan.root / "rows.csv", rows.rows_to_csv(results.gather(plan)))
    return plan


def _costs(plan: Plan) -> None:
    for paper in plan.config.papers:
        costs = {}
        for k, name in enumerate(m for m in plan.models if m.startswith(f"{paper}/")):
            layers = [
                {"sequences": 12, "entering_attention": 50 - i, "leaving": 49 - i - k % 3}
                for i in range(12)
            ]
            costs[name] = {
                "gmacs": 50.0 + k,
                "views": 1,
                "params_tuned": 5e5 * (1 + k),
                "params_total": 1e8,
                "params_by_part": {"trunk": {"total": 86_000_000, "tuned": 0}},
                "tokens": layers,
                "output_tokens": 97 - k % 5,
                "provenance": STAMP,
            }
        write_json(result_files.paper_path(plan, "costs", paper), costs)


def _memory(plan: Plan) -> None:
    for paper in plan.config.papers:
        job, known = plan.specs()[plan.spec_of("memory", paper)], {}
        for k, row in enumerate(job.rows):
            kinds = {**GIB, "activations": GIB["activations"] + k}
            peak = sum(kinds.values())
            phases = {"forward": 0.8 * peak, "backward": peak, "step": 0.3 * peak}
            known[row.model.name] = {
                "convention": f"{row.precision}, {row.attention} attention",
                "precision": row.precision,
                "attention": row.attention,
                "batch": row.batch,
                "frames": row.model.frames,
                "train": {"peak_gib": peak, "by_kind": kinds, "by_phase": phases},
                "inference": {"peak_gib": 1.0},
                "fit": None,
            }
        write_json(result_files.paper_path(plan, "memory", paper), known)


def _runs(plan: Plan) -> None:
    for k, (name, run) in enumerate(plan.runs.items()):
        status = "diverged" if name == DIVERGED else "ok"
        recognises = run.model.task == "recognition"
        keys = [m for m in SHARES if (m in RECOGNITION) == recognises]
        metrics = {m: SHARES[m] + run.seed for m in keys} if status == "ok" else {}
        result = {"status": status, "metrics": metrics, "n": 320, "seconds": 1.0}
        write_json(result_files.eval_path(plan, name), {**result, "provenance": STAMP})
        losses = (
            [(10, 2.0 + k / 100), (20, 1.0)] if status == "ok" else [(10, 2.0), (20, float("nan"))]
        )
        trained = {"status": status, "seconds": 2.0, "losses": losses}
        write_json(result_files.eval_path(plan, name).with_name("train.json"), trained)


def _premise(plan: Plan) -> None:
    probe = {"top1": 0.4, "within_pairs": 0.5, "n": 320, "chance": [0.43, 0.57]}
    check = {"zero_shot": {"colour": 1.0, "size": 0.98}, "probe": probe, "holds": {"all": True}}
    premise: dict[str, Any] = {"recognition": check, "retrieval": check}
    premise["references"] = {
        "recognition": {"chance": {"top1": 12.5, "pair": 50.0}, "linear probe": {"top1": 14.0}},
        "retrieval": {"chance": {"r1": 1.0, "pair": 50.0}, "zero-shot CLIP": {"r1": 15.0}},
    }
    write_json(plan.root / "backbones" / "mini" / "premise.json", premise)


def write_look(path: Path, run: str, seed: int = 0, status: str = "ok") -> None:
    """A file as `vidtune look` writes it: 3 clips of 4 frames of 16 pixels, 2 x 2 patches, 12 classes."""
    random = np.random.default_rng(seed)
    clips = [
        {"id": f"test_{k}", "label": f"class {k}", "caption": f"caption {k}"} for k in range(3)
    ]
    shares = [round(k / 12, 3) for k in range(12)]
    found = {"names": [f"class {k}" for k in range(12)], "n": [5] * 12}
    found |= {"learned": shares, "zero_shot": shares[::-1]}
    facts = {"run": run, "status": status, "generated": True, "provenance": STAMP}
    arrays = {}
    if status == "ok":
        facts |= {"clips": clips, "classes": found}
        maps = random.random((2, 3, 4, 2, 2))
        maps /= maps.sum(axis=(-1, -2), keepdims=True)
        arrays = {
            "frames": random.integers(0, 255, (3, 4, 16, 16, 3), dtype=np.uint8),
            "clip_attention": maps[0],
            "side_attention": maps[1],
            "token": random.integers(0, 6, (3, 4, 2, 2)),
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, facts=np.array(json.dumps(facts)), **arrays)
