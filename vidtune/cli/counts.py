"""Verbs that count: what a model costs, and whether three ways to count agree."""

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidtune.cli.ask import chosen, plan_of
from vidtune.spec import Costing, Model, UserError, load_json, parse, write_json

if TYPE_CHECKING:
    from vidtune.cost.audit import Audit

CONVENTIONS = ("paper", "macs", "full")  # see `vidtune.cost.formulas.Tally`
SIDES = {"vision": "vision, one view", "text": "text, one", "head": "similarity, one pair"}


def cost(args: argparse.Namespace) -> int:
    """`vidtune.cost.count.cost` of a variant; with --spec, of all models of a paper."""
    if bool(args.variant) == bool(args.spec) or bool(args.spec) != bool(args.out):
        raise UserError("name a variant (see `vidtune ls`), or give both --spec and --out")
    if args.spec:
        return _costs(Path(args.spec), Path(args.out))
    (model,) = chosen(plan_of(args), [args.variant])
    from vidtune.cost import count

    result = count.cost(model)
    print(json.dumps(result, indent=1) if args.json else _told(model, result))
    return 0


def _costs(spec: Path, out: Path) -> int:
    from vidtune.cost.paper_costs import count_paper

    job = parse(Costing, load_json(spec), spec)
    write_json(out, count_paper(job, out.parent / "kept" / job.paper))
    return 0


def _told(model: Model, result: dict[str, Any]) -> str:
    """Counted costs for a reader."""
    size, tuned = result["params_total"] / 1e6, result["params_tuned"] / 1e6
    lines = [
        f"{model.name}: {model.backbone.name}, {model.frames} frames, {model.views} views",
        f"  parameters     {size:.3f} M, tuned {tuned:.3f} M",
    ]
    for part, n in result["params_by_part"].items():
        lines.append(f"    {part:18} {n['total'] / 1e6:10.3f} M  {n['tuned'] / 1e6:10.3f} M")
    lines += _operations(result)
    lines.append(f"  output tokens  {result['output_tokens']}")
    for i, t in enumerate(result["tokens"]):
        entering, leaving = t["entering_attention"], t["leaving"]
        lines.append(f"  layer {i:3}      {t['sequences']} x {entering} -> {leaving}")
    return "\n".join(lines)


def _operations(result: dict[str, Any]) -> list[str]:
    """One line per side, in both units: a multiply-accumulate is two FLOPs."""
    by = result["gmacs_by"]

    def line(says: str, side: str, times: int = 1) -> str:
        gmacs = [by[convention][side] * times for convention in CONVENTIONS]
        cells = "".join(f"{g:>14.3f}" for g in (*gmacs, *(2 * g for g in gmacs)))
        return f"    {says:20}{cells}"

    heads = (f"{convention} {unit}" for unit in ("GMACs", "GFLOPs") for convention in CONVENTIONS)
    return [
        f"  {'operations':22}{''.join(f'{head:>14}' for head in heads)}",
        line("vision, all views", "vision", result["views"]),
        *(line(says, side) for side, says in SIDES.items() if by["macs"][side]),
        "    paper: products and fvcore's terms of normalisation; macs: matrix products alone;",
        "    full: and every operation on an element, worth half a product",
    ]


def audit(args: argparse.Namespace) -> int:
    """`vidtune.cost.audit` of variants. 1: counters differ by more than it allows."""
    models = chosen(plan_of(args), args.variants)
    from vidtune.cost.audit import CLOSE, audit_all

    done = []
    if not args.json:
        columns = "".join(f"{c:>14}" for c in ("counted", "fvcore", "torch", "closed"))
        print(f"{'GMACs of matrix products':40} {'':6}{columns}   difference")
    for a in audit_all(models):
        done.append(a)
        if not args.json:
            print(_row(a), flush=True)
    if args.json:
        print(json.dumps([_item(a) for a in done], indent=1))
    else:
        print(_summary(done, models, CLOSE))
    return 0 if all(a.agrees for a in done) else 1


def _item(a: "Audit") -> dict[str, Any]:
    return {
        "name": a.name,
        "sides": a.sides,
        "given": dict(a.given),
        "unseen": {counter: dict(operators) for counter, operators in a.unseen.items()},
        "difference": a.difference,
        "agrees": a.agrees,
    }


def _row(a: "Audit") -> str:
    lines = []
    for side, counts in a.sides.items():
        numbers = (counts.get(c) for c in ("counted", "fvcore", "torch", "closed"))
        shown = "".join(f"{'-' if n is None else format(n / 1e9, '.6f'):>14}" for n in numbers)
        lines.append(f"{a.name if side == 'vision' else '':40} {side:6}{shown}")
    lines[0] += f"   {a.difference:.4%}{'' if a.agrees else '  DIFFERS'}"
    return "\n".join(lines)


def _summary(done: list["Audit"], models: list[Model], close: float) -> str:
    """What no counter saw by itself, which models lack one, and the verdict."""
    given: Counter[str] = sum((a.given for a in done), Counter())
    lines = []
    if given:
        calls = ", ".join(f"{op} ({n} calls)" for op, n in given.items())
        lines.append(f"fvcore itself does not see {calls}: given a formula here")
    for a in done:
        for counter, operators in a.unseen.items():
            calls = ", ".join(f"{op} ({n} calls)" for op, n in operators.items())
            lines += [f"{a.name}: {counter} did not see {calls}"] if calls else []
    without = {
        m.method for a, m in zip(done, models, strict=True) if "closed" not in a.sides["vision"]
    }
    lines += [
        f"{method}: no closed form; add one in vidtune/methods/{method}/closed_form.py"
        for method in sorted(without)
    ]
    if any("fvcore" not in a.sides["vision"] for a in done):
        lines.append("fvcore -: beyond ViT-B/16 its formulas alone, which are those of `counted`")
    worst = max(done, key=lambda a: a.difference)
    differ = sum(not a.agrees for a in done)
    lines.append(
        f"largest difference {worst.difference:.4%} ({worst.name}); "
        f"{len(done) - differ} of {len(done)} agree within {close:.1%}"
    )
    return "\n".join(lines)
