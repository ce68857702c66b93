"""Ours against the authors' own code: time and peak memory, paired, in one run.

    python benchmarks/against.py --official DIR       # DIR/st-adapter, DIR/Side4Video, DIR/TempMe

Both get the same weights and videos and take turns; each round gives one ratio of their times, so
that a machine which slows down slows both. Below 1: ours is faster. The range holds 95 % of the
means (of the ratios' logarithms) that come out when rounds are drawn again. A training step is
forward, loss and backward; inference is the vision side, with ours merged as it is always
evaluated. Peak memory is what a step adds: to the allocator on a GPU, on
a CPU to a process of each side's own. With `--precision amp16` both compute under autocast to float16;
frozen weights are in float16 on our side, and on theirs where the authors hold them so. With `half`
ours computes so (on a CPU in bfloat16) and theirs in float32: what half precision is worth.
"""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from adapters import ADAPTERS, Official
from torch import Tensor, nn

from vidtune.cost.clock import Clock, synchronise
from vidtune.cost.measure import device_name, peak, reset_peak
from vidtune.cost.measured_phases import random_targets
from vidtune.cost.memory_cuda import halve
from vidtune.methods import load_official
from vidtune.methods.build import build_model
from vidtune.nn.task import Recognizer, VideoModel
from vidtune.plan import load
from vidtune.spec import Model, UserError, write_json

SIDES = ("ours", "theirs")
DRAWS = 10_000  # of rounds, for the range


@dataclass(frozen=True)
class Pair:
    """Two models with the same weights, and what both are given."""

    model: Model
    ours: VideoModel
    theirs: Official
    video: Tensor  # (B, T, 3, S, S)
    target: Tensor  # labels (B,) or token ids (B, L)
    types: dict[str, torch.dtype]  # of the autocast of each side that has one

    def net(self, side: str) -> nn.Module:
        return self.ours if side == "ours" else self.theirs.net

    def autocast(self, side: str) -> AbstractContextManager[Any]:
        dtype = self.types.get(side)
        return torch.autocast(self.video.device.type, dtype) if dtype else nullcontext()

    def output(self, side: str) -> Any:
        """Logits, or video features."""
        if side == "ours":
            return self.ours.at_once(self.video)
        out = self.theirs.video(self.video)
        return out if isinstance(self.ours, Recognizer) else (out,)

    def train(self, side: str) -> None:
        self.net(side).zero_grad(set_to_none=True)
        with self.autocast(side):
            loss = self.loss(side)
        loss.backward()

    def loss(self, side: str) -> Tensor:
        out = self.output(side)
        if isinstance(self.ours, Recognizer):
            return nn.functional.cross_entropy(out, self.target)
        if side == "ours":
            return self.ours.loss(self.ours.encode_text(self.target), out)
        assert self.theirs.text
        return self.ours.loss((self.theirs.text(self.target),), out)

    @torch.no_grad()
    def infer(self, side: str) -> Any:
        with self.autocast(side):
            return self.output(side)


def build(
    name: str, folder: Path, batch: int, where: torch.device, precision: str = "fp32"
) -> Pair:
    """Raises `UserError` where the checkout is missing or does not fit."""
    builder, variant = ADAPTERS[name]
    if not (folder / name).is_dir():
        raise UserError(f"--official {folder}: no folder {name}; expected a checkout of it")
    torch.manual_seed(0)
    model = load("config").models[variant]
    ours = build_model(model)
    theirs = builder(folder / name, model, ours)
    with torch.no_grad():
        for p in theirs.net.parameters():  # parts that start at zero would hide a difference
            if p.requires_grad:
                p.add_(torch.randn_like(p), alpha=0.02)
    load_official.load_into(ours, theirs.name, theirs.net.state_dict())
    types = autocasts(precision, where)
    if lower := types.get("ours"):
        ours.lower_frozen(lower)
    if "theirs" in types and theirs.frozen_in_half:
        halve(theirs.net, frozen=True)
    ours.to(where)
    theirs.net.to(where)
    side = model.backbone.image
    video = torch.randn(batch, model.frames, 3, side, side, device=where)
    return Pair(model, ours, theirs, video, random_targets(model, batch).to(where), types)


def autocasts(precision: str, where: torch.device) -> dict[str, torch.dtype]:
    """What each side computes in that does not in float32; few CPUs multiply float16."""
    if precision == "half":
        return {"ours": torch.float16 if where.type == "cuda" else torch.bfloat16}
    return dict.fromkeys(SIDES, torch.float16) if precision == "amp16" else {}


def difference(pair: Pair) -> float:
    """Largest difference of the outputs in evaluation, relative to the largest output."""
    for side in SIDES:
        pair.net(side).eval()
    a, b = (pair.infer(side) for side in SIDES)
    if not isinstance(pair.ours, Recognizer):
        a, b = a[0], b[0]
        a, b = (x / x.norm(dim=-1, keepdim=True) for x in (a, b))
    return ((a - b).abs().max() / b.abs().max()).item()


def seconds(call: Callable[[str], None], side: str, where: torch.device) -> float:
    clock = Clock(where)
    clock.tick()
    call(side)
    clock.tick()
    return clock.span()


def ratios(call: Callable[[str], None], rounds: int, where: torch.device) -> list[float]:
    """Ours over theirs of each round; who comes first changes from round to round."""
    for side in SIDES:
        call(side)
    shares = []
    for k in range(rounds):
        took = {s: seconds(call, s, where) for s in (SIDES if k % 2 else SIDES[::-1])}
        shares.append(took["ours"] / took["theirs"])
    return shares


def spread(ratios: list[float]) -> dict[str, float]:
    """Geometric mean of ratios and its 95 % range, by drawing rounds again."""
    logs = np.log(ratios)
    drawn = np.random.default_rng(0).choice(logs, (DRAWS, len(logs))).mean(axis=1)
    low, high = np.exp(np.percentile(drawn, [2.5, 97.5]))
    return {"ratio": math.exp(logs.mean()), "low": float(low), "high": float(high)}


def phases(pair: Pair) -> dict[str, Callable[[str], None]]:
    return {"train": pair.train, "inference": pair.infer}


def prepare(pair: Pair, phase: str) -> None:
    for side in SIDES:
        pair.net(side).train(phase == "train")
    if phase == "inference":
        pair.ours.fold_lora()


def compare(name: str, args: argparse.Namespace, where: torch.device) -> dict[str, Any]:
    pair = build(name, Path(args.official), args.batch, where, args.precision)
    row: dict[str, Any] = {
        "variant": pair.model.name,
        "official": name,
        "batch": args.batch,
        "precision": args.precision,
        "device": device_name(where),
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
        "rounds": args.rounds,
        "outputs_differ_by": difference(pair),
    }
    for phase, call in phases(pair).items():
        prepare(pair, phase)
        row[phase] = {"time": spread(ratios(call, args.rounds, where))}
        if where.type == "cuda":
            row[phase]["peak_gib"] = {side: added(pair, phase, side) for side in SIDES}
    if where.type == "cpu":
        del pair
        for phase in ("train", "inference"):
            row[phase]["peak_gib"] = {side: alone(name, args, phase, side) for side in SIDES}
    return row


def alone(name: str, args: argparse.Namespace, phase: str, side: str) -> float:
    """Peak memory of one side in a process of its own, GiB above what it held before the step."""
    given = ["--official", args.official, "--only", name, "--batch", str(args.batch)]
    given += ["--precision", args.precision, "--peak", phase, side]
    done = subprocess.run([sys.executable, __file__, *given], capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"{name}: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])


def added(pair: Pair, phase: str, side: str) -> float:
    """What a step adds to memory at most, while the other side is idle, GiB."""
    where = pair.video.device
    for other in SIDES:
        pair.net(other).zero_grad(set_to_none=True)
    reset_peak(where)
    before = peak(where)
    phases(pair)[phase](side)
    synchronise(where)
    key = "peak_allocated_gib" if where.type == "cuda" else "peak_rss_gib"
    return peak(where)[key] - before[key]


def lines_of(row: dict[str, Any]) -> list[str]:
    """Lines of a table."""
    lines = []
    for phase in ("train", "inference"):
        t, p = row[phase]["time"], row[phase]["peak_gib"]
        lines.append(
            f"| {row['official']} | {row['variant']} | {phase} | {row['batch']}, {row['precision']} "
            f"| {t['ratio']:.2f} ({t['low']:.2f} to {t['high']:.2f}) "
            f"| {p['ours']:.2f} / {p['theirs']:.2f} | {row['outputs_differ_by']:.0e} |"
        )
    return lines


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--official", required=True, help="folder with the authors' checkouts")
    parser.add_argument("--only", nargs="+", choices=tuple(ADAPTERS), default=tuple(ADAPTERS))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("fp32", "amp16", "half"), default="fp32")
    parser.add_argument("--out", help="JSON file to write too")
    parser.add_argument("--peak", nargs=2, help=argparse.SUPPRESS)  # of a process of its own
    args = parser.parse_args(argv)
    where = torch.device(args.device)
    try:
        if args.peak:
            phase, side = args.peak
            name, folder = args.only[0], Path(args.official)
            pair = build(name, folder, args.batch, where, args.precision)
            prepare(pair, phase)
            print(added(pair, phase, side))
            return 0
        rows = []
        print("| official | ours | phase | batch, precision | time, ours / theirs (95 %) "
              "| peak of a step, ours / theirs, GiB | outputs differ by |")  # fmt: skip
        print("|---|---|---|---|---|---|---|")
        for name in args.only:
            rows.append(compare(name, args, where))
            print("\n".join(lines_of(rows[-1])), flush=True)
        if args.out:
            write_json(Path(args.out), rows)
    except UserError as e:
        print(f"against: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
