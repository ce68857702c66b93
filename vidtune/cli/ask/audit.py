"""Count matrix products by independent counters and compare them.

The exit code is 1 where counters differ by more than `vidtune.cost.audit` allows.
"""

import argparse
from collections import Counter
from typing import TYPE_CHECKING

from vidtune.cli.inputs import add_plan_json, declared_models, print_result, read_plan
from vidtune.spec import Model

if TYPE_CHECKING:
    from vidtune.cost.audit import Audit

COUNTERS = ("counted", "fvcore", "torch", "closed")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("variants", nargs="*", help="<paper>/<variant>; none: all")
    add_plan_json(parser)


def run(args: argparse.Namespace) -> int:
    models = declared_models(read_plan(args), args.variants)
    from vidtune.cost.audit import CLOSE, audit_all

    done = []
    if not args.json:
        columns = "".join(f"{c:>14}" for c in COUNTERS)
        print(f"{'GMACs of matrix products':40} {'':6}{columns}   difference")
    for audit in audit_all(models):
        done.append(audit)
        if not args.json:
            print(_format_audit(audit), flush=True)
    items = [{**vars(a), "difference": a.difference, "agrees": a.agrees} for a in done]
    print_result(args, items, "\n".join(_summary(done, models, CLOSE)))
    return 0 if all(audit.agrees for audit in done) else 1


def _format_audit(audit: "Audit") -> str:
    lines = []
    for side, counts in audit.sides.items():
        numbers = (counts.get(c) for c in COUNTERS)
        cells = "".join(f"{'-' if n is None else format(n / 1e9, '.6f'):>14}" for n in numbers)
        lines.append(f"{audit.name if side == 'vision' else '':40} {side:6}{cells}")
    lines[0] += f"   {audit.difference:.4%}{'' if audit.agrees else '  DIFFERS'}"
    return "\n".join(lines)


def _summary(done: list["Audit"], models: list[Model], close: float) -> list[str]:
    """The operators that a counter does not see, the models that lack a counter, the verdict."""

    def calls(operators: Counter[str]) -> str:
        return ", ".join(f"{op} ({n} calls)" for op, n in operators.items())

    lines = []
    if given := sum((a.given for a in done), Counter()):
        lines.append(f"fvcore itself does not see {calls(given)}: vidtune gives it a formula")
    lines += [
        f"{a.name}: {counter} did not see {calls(operators)}"
        for a in done
        for counter, operators in a.unseen.items()
        if operators
    ]
    pairs = zip(done, models, strict=True)
    without = {m.method for a, m in pairs if "closed" not in a.sides["vision"]}
    lines += [
        f"{method}: no closed form; add one in vidtune/methods/{method}/closed_form.py"
        for method in sorted(without)
    ]
    if any("fvcore" not in a.sides["vision"] for a in done):
        lines.append("fvcore -: beyond ViT-B/16 its formulas alone, which are those of `counted`")
    worst = max(done, key=lambda a: a.difference)
    agree = sum(a.agrees for a in done)
    return [
        *lines,
        f"largest difference {worst.difference:.4%} ({worst.name}); "
        f"{agree} of {len(done)} agree within {close:.1%}",
    ]
