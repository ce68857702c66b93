"""Measured costs as rows: of this machine's benches, then of the committed reference results.

<results>/<scale>/bench/<gpu>/<paper>/<variant>.json    measured here
<results>/reference/<gpu>/<paper>/<variant>.json        measured before, part of the repository
Memory is the allocator's peak: GB are 10^9 bytes, MB those of TempMe's log, 2^20. Throughput is
of inference. Running out of memory is a row without a number, a busy GPU a row that says so.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vidtune import provenance
from vidtune.plan import Plan
from vidtune.report.numbers.conditions import format_conditions
from vidtune.report.numbers.result_files import checked
from vidtune.report.numbers.rows import BUSY, HERE, OOM, REFERENCE, Row, our_row

GB = 2**30 / 1e9  # of one GiB
# metric: (phase, key, factor)
VALUES = {
    "train_gb": ("train", "peak_allocated_gib", GB),
    "infer_gb": ("inference", "peak_allocated_gib", GB),
    "train_gb_log": ("train", "peak_allocated_gib", 1.0),
    "train_mb": ("train", "peak_allocated_gib", 1024),
    "infer_mb": ("inference", "peak_allocated_gib", 1024),
    "throughput": ("inference", "videos_per_s", 1.0),
}
PHASES = {"train", "inference"}  # a process that was killed leaves neither
UNDER = ("batch", "frames", "precision", "attention", "compile")


def folders(plan: Plan) -> dict[str, Path]:
    """Folders of measurements, by the scale label of their rows."""
    return {
        HERE: plan.root / "bench",
        REFERENCE: Path(plan.config.settings.results) / "reference",
    }


def gather(plan: Plan) -> Iterator[Row]:
    """Rows of every declared variant that was measured on any device."""
    for scale, folder in folders(plan).items():
        for path in sorted(folder.glob("*/*/*.json")):
            name = f"{path.parent.name}/{path.stem}"
            if name in plan.models:
                yield from rows(plan, name, checked(path, ("status", "conditions")), path, scale)


def rows(plan: Plan, name: str, bench: dict[str, Any], path: Path, scale: str) -> Iterator[Row]:
    """Rows of one bench."""
    under = bench["conditions"]
    stamp = bench.get("provenance", {})
    fresh = provenance.bench_digest(plan.models[name].method)
    status = bench["status"]
    for metric, (phase, key, factor) in VALUES.items():
        m = plan.config.metrics.get(metric)
        measured = bench.get(phase) or {}
        value = measured.get(key)
        ended = OOM in (measured.get("status"), None if PHASES & set(bench) else status)
        if m is None or (value is None and not ended):
            continue
        yield our_row(
            m,
            variant=name,
            value=math.nan if value is None else value * factor,
            where=str(path),
            scale=scale,
            device=str(under.get("device", path.parent.parent.name)),
            digest=stamp.get("digest", ""),
            stale=bool(stamp) and stamp.get("digest") != fresh,
            text=OOM if value is None else (BUSY if status == BUSY else ""),
            condition=format_conditions({k: under.get(k) for k in UNDER}),
        )
