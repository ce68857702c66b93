"""What a plan will take: time from the scale's measured seconds, disk, downloads."""

from typing import Any

from vidtune.datasets import standing
from vidtune.plan import Plan
from vidtune.remote import cache

CHECKPOINT_MB, CLIP_MB = 0.4, 0.02  # a mini run's files; a generated clip of 64 pixels


def jobs(p: Plan) -> dict[str, Any]:
    """Jobs and seconds per rule; `None` where nobody has measured it."""
    rules: list[dict[str, Any]] = []
    released = cache.needed(*p.runs.values())
    for rule, count in {**p.counts(), "fetch": len(released)}.items():
        each = p.scale.seconds.get(rule)
        seconds = None if each is None and count else round((each or 0) * count)
        rules.append({"rule": rule, "jobs": count, "seconds": seconds})
    known = [r["seconds"] for r in rules]
    total = None if None in known else round(sum(known) / 2)
    clips = sum(sum(f.clips.values()) for f in p.generated.values())
    downloads = sum(f.bytes or 0 for f in released) / 1e6
    return {
        "scale": p.scale.name,
        "rules": rules,
        "seconds_2_cores": total,
        "disk_mb": round(clips * CLIP_MB + len(p.runs) * CHECKPOINT_MB + downloads + 5),
        "downloads": sorted(f"{f.urls[0]} ({cache.format_size(f.bytes)})" for f in released),
        "bring": standing.describe_absent(standing.absent_datasets(p)),
    }


def lines(p: Plan) -> list[str]:
    """The plan for a reader; at the end what must be provided, if anything."""
    found = jobs(p)
    out = [f"scale {p.scale.name}: {p.scale.says}"]
    for rule in found["rules"]:
        out.append(f"  {rule['rule']:9} {rule['jobs']:4} jobs   {span(rule['seconds'])}")
    out.append(f"  time      {span(found['seconds_2_cores'])} on two cores")
    out.append(f"  disk      {found['disk_mb']} MB")
    out += [f"  download  {d}" for d in found["downloads"]]
    if found["bring"]:
        out += ["to provide, before runs that need it can start:"]
        out += [f"  {line}" for line in found["bring"]]
    return out


def span(seconds: float | None) -> str:
    """Seconds for a reader: "45 s", "12 min", "unknown"."""
    if seconds is None:
        return "unknown: nobody has measured it"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
