"""Memory and speed as rows, which a model has on a device: predicted without one, and measured.

<results>/<scale>/memory/<paper>.json                   each model's predicted peaks in training and
                                                        inference, under one named convention
<results>/<scale>/bench/<gpu>/<paper>/<variant>.json    measured on this machine
<results>/reference/<gpu>/<paper>/<variant>.json        measured before, part of the repository
Predicted are GiB, and apart from them GB on a line fitted to print. No paper says how it measured
memory; of three readings (allocated, reserved, in use) print is nearest to what nvidia-smi shows
in use (docs/measuring.md has the numbers), so that is the measured number, of the method as released:
GB are GiB, MB MiB, as nvidia-smi prints them. Throughput is of inference. Running out of memory is a
row without a number, a busy GPU a row that says so.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers.conditions import format_conditions
from vidtune.report.numbers.result_files import made_by, model_results, paper_path, read_checked
from vidtune.report.numbers.rows import BUSY, FULL_SIZE, HERE, OOM, REFERENCE, Row, our_row
from vidtune.spec.results import Measured, Predicted

# metric: (phase, factor of its memory in use in GiB; None: its rate)
VALUES: dict[str, tuple[str, float | None]] = {
    "train_gb": ("released", 1.0),
    "infer_gb": ("inference", 1.0),
    "train_gb_log": ("released", 1.0),
    "train_mb": ("released", 1024),
    "infer_mb": ("inference", 1024),
    "throughput": ("inference", None),
}
PHASES = {"train", "inference", "released"}  # a process that was killed leaves none
UNDER = ("batch", "frames", "precision", "attention", "compile")
CONVENTION = ("batch", "precision", "attention")


def predicted(plan: Plan) -> Iterator[Row]:
    """Rows of the models whose memory has been predicted; what was not predicted has no row."""
    for name, memory in model_results(plan, "memory", Predicted).items():
        under = format_conditions({k: memory.get(k) for k in ("batch", "frames", "precision")})
        under = f"{memory['convention']}; {under}"
        fit, model = memory.get("fit") or {}, plan.models[name]
        values = {
            "train_gib": (memory.get("train") or {}).get("peak_gib"),
            "train_gb_fit": fit.get("gb"),
            "infer_gib": (memory.get("inference") or {}).get("peak_gib"),
        }
        digest = provenance.memory_digest(model.method)
        code = made_by(memory, digest, provenance.spec_digest(model))
        code["stale"] |= bool(memory.get("provenance")) and _changed(plan, name, memory)
        for metric, value in values.items():
            m = plan.config.metrics.get(metric)
            if m is None or value is None:
                continue
            fitted = ""
            if metric == "train_gb_fit":
                line = f"{fit['slope']:.4g} x GiB + {fit['offset']:.3g} GB"
                fitted = f"; fitted on {', '.join(fit['fitted_on'])}: {line}"
            yield our_row(
                m,
                variant=name,
                value=value,
                where=str(paper_path(plan, "memory", name.split("/")[0])),
                scale=FULL_SIZE,
                device="none (predicted on fake tensors)",
                condition=under + fitted,
                **code,
            )


def _changed(plan: Plan, name: str, memory: dict[str, Any]) -> bool:
    """Whether the paper's file asks for something else by now."""
    paper = plan.config.papers[name.split("/")[0]]
    asked, fit = paper.measured_under().get(name.split("/")[1]), memory.get("fit")
    if asked is None or any(memory.get(k) != getattr(asked, k) for k in CONVENTION):
        return True
    recipe = plan.config.recipes[plan.variants[name].recipe]
    if recipe.checkpoint != ("checkpointed" in memory["convention"]):
        return True
    line = paper.fit and (paper.fit.slope, paper.fit.offset)
    return (fit and (fit["slope"], fit["offset"])) != line


def folders(plan: Plan) -> dict[str, Path]:
    """Folders of measurements, by the scale label of their rows."""
    reference = Path(plan.config.settings.results) / "reference"
    return {HERE: plan.root / "bench", REFERENCE: reference}


def measured(plan: Plan) -> Iterator[Row]:
    """Rows of every declared variant that was measured on any device."""
    for scale, folder in folders(plan).items():
        for path in sorted(folder.glob("*/*/*.json")):
            name = f"{path.parent.name}/{path.stem}"
            if name in plan.models:
                bench = read_checked(path, Measured)
                yield from _bench_rows(plan, name, bench, path, scale)


def in_use(bench: dict[str, Any], phase: str) -> float | None:
    """GiB of the GPU in use at the peak of a phase, as nvidia-smi shows them: what the allocator has
    reserved, and what CUDA and the driver hold beside it, which a watched phase tells."""
    watched = (bench.get(name) or {} for name in ("train", "inference"))
    pairs = [(p.get("nvml_device_gib"), p.get("peak_reserved_gib")) for p in watched]
    beside = next((used - held for used, held in pairs if used and held), None)
    reserved = (bench.get(phase) or {}).get("peak_reserved_gib")
    return None if beside is None or reserved is None else reserved + beside


def _bench_rows(
    plan: Plan, name: str, bench: dict[str, Any], path: Path, scale: str
) -> Iterator[Row]:
    under, status = bench["conditions"], bench["status"]
    code = made_by(bench, provenance.bench_digest(plan.models[name].method))
    code["stale"] &= scale != REFERENCE  # what is kept is of its own commit, which it names
    for metric, (phase, factor) in VALUES.items():
        m = plan.config.metrics.get(metric)
        result = bench.get(phase) or {}
        value = in_use(bench, phase) if factor else result.get("videos_per_s")
        ended = OOM in (result.get("status"), None if PHASES & set(bench) else status)
        if m is None or (value is None and not ended):
            continue
        yield our_row(
            m,
            variant=name,
            value=math.nan if value is None else value * (factor or 1.0),
            where=str(path),
            scale=scale,
            device=str(under.get("device", path.parent.parent.name)),
            text=OOM if value is None else (BUSY if status == BUSY else ""),
            condition=format_conditions({k: under.get(k) for k in UNDER}),
            **code,
        )
