"""Download released weights and CLIP's vocabulary into the cache.

Without names: list what the scale needs of them, and their state in the cache.
"""

import argparse

from vidtune.cli.inputs import add_plan, read_plan
from vidtune.spec import UserError


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", help="backbones or clip-bpe; none: list what is needed")
    add_plan(parser)


def run(args: argparse.Namespace) -> None:
    from vidtune.remote import cache
    from vidtune.remote.download import download

    plan = read_plan(args)
    known = {f.name: f for f in map(cache.weights, plan.config.backbones.values()) if f}
    known[cache.CLIP_BPE.name] = cache.CLIP_BPE
    for name in args.names:
        if name not in known:
            raise UserError(f"{name}: not a released file; known: {', '.join(known)}")
    for file in map(known.get, args.names):
        download(file.urls, file.path, file.sha256, file.bytes, file.name)
        print(file.path)
    if args.names:
        return
    files = cache.needed(*plan.runs.values())
    print(f"scale {plan.scale.name}: {len(files)} released files; cache {cache.folder()}")
    for f in files:
        state = "absent"
        if cache.file_exists(f.path):
            state = cache.describe_mismatch(f.path, f.sha256, f.bytes) or "complete"
        print(f"  {f.name:10} {cache.format_size(f.bytes):>20}  {f.place}: {state}")
