"""Download released weights and CLIP's vocabulary into the cache.

Without names: list what the scale needs of them, and their state in the cache.
"""

import argparse
import sys
from typing import Any

from vidtune.cli.inputs import add_plan_json, print_result, read_plan
from vidtune.plan import Plan
from vidtune.remote import cache
from vidtune.spec.errors import unknown


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="backbones or clip-bpe; none: list what is needed")
    add_plan_json(parser)


def run(args: argparse.Namespace) -> None:
    from vidtune.remote.download import download

    plan = read_plan(args)
    known = {f.name: f for f in map(cache.weights, plan.config.backbones.values()) if f}
    known[cache.CLIP_BPE.name] = cache.CLIP_BPE
    for name in args.names:
        if name not in known:
            raise unknown("released file", name, known)
    for file in (known[name] for name in args.names):
        there = cache.file_exists(file.path)
        download(file.urls, file.path, file.sha256, file.bytes, file.name)
        if not args.json:
            print(file.path)
            said = "was there already, and is complete" if there else "is complete"
            print(f"vidtune fetch: {file.name} {said}", file=sys.stderr)
    files = [known[name] for name in args.names] or cache.needed(*plan.runs.values())
    states = [_state(file) for file in files]
    if args.json or not args.names:
        print_result(args, states, _format(plan, states))


def _state(file: cache.ReleasedFile) -> dict[str, Any]:
    state = "absent"
    if cache.file_exists(file.path):
        state = cache.describe_mismatch(file.path, file.sha256, file.bytes) or "complete"
    return {"name": file.name, "bytes": file.bytes, "path": str(file.path), "state": state}


def _format(plan: Plan, states: list[dict[str, Any]]) -> str:
    scale = f"scale {plan.scale.name}"
    if not states:
        return f"{scale}: no released file is needed, nothing is to be fetched"
    lines = [f"{scale}: {len(states)} released files; cache {cache.folder()}"]
    for s in states:
        lines.append(
            f"  {s['name']:10} {cache.format_size(s['bytes']):>20}  {s['path']}: {s['state']}"
        )
    lacking = [s["name"] for s in states if s["state"] != "complete"]
    lines.append(f"next: vidtune fetch {' '.join(lacking)}" if lacking else "all are complete")
    return "\n".join(lines)
