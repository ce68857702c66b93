"""Parser and dispatch. Imports of torch stay inside the verbs that need it."""

import argparse
import os
import sys
from collections.abc import Callable
from typing import get_args

from vidtune import __version__
from vidtune.cli import ask, bench, complete, counts, data, explain, jobs, memory, verify
from vidtune.gpu import command
from vidtune.spec import UserError
from vidtune.spec.nouns import Kind


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vidtune", description="Reproducible benchmarks of efficient image-to-video tuning."
    )
    parser.add_argument("--version", action="version", version=f"vidtune {__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="verb")

    def verb(
        name: str, run: Callable[[argparse.Namespace], int], says: str
    ) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=says, description=says)
        sub.set_defaults(run=run)
        return sub

    def planned(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub.add_argument("--config", default="config", help="config folder (default: config)")
        sub.add_argument("--scale", help="instead of the one in config.yaml")
        sub.add_argument("--results", help="instead of the one in config.yaml")
        sub.add_argument("--papers", nargs="+", help="instead of those in config.yaml")
        return sub

    def listed(sub: argparse.ArgumentParser) -> argparse.ArgumentParser:
        sub.add_argument("--json", action="store_true", help="print JSON")
        return planned(sub)

    listed(verb("ls", ask.ls, "list the declared variants"))
    listed(verb("plan", ask.plan, "list the jobs with time, disk and downloads"))
    cost = listed(
        verb("cost", _cost, "parameters, tokens and GFLOPs, or memory, at full size without a GPU")
    )
    cost.add_argument("variant", nargs="?", help="<paper>/<variant>")
    cost.add_argument("--spec", help="a paper's spec file instead of a variant")
    cost.add_argument("--out", help="with --spec: the JSON file to write")
    memory.arguments(cost)
    audit = listed(
        verb("audit", counts.audit, "matrix products by three independent counters; 1: they differ")
    )
    audit.add_argument("variants", nargs="*", help="<paper>/<variant>; none: all")
    check = listed(verb("verify", verify.verify, "a verdict on every published cell"))
    check.add_argument("--kind", choices=get_args(Kind))
    check.add_argument("--paper", help="only this paper's cells")
    check.add_argument("--table", help="only this table's cells, as in table2")
    cell = listed(verb("explain", explain.explain, "one published cell, told in full"))
    cell.add_argument("cell", help="<paper>/<table>/<row>/<column>, as `vidtune verify` lists them")
    shell = verb("completion", complete.completion, "print a shell's script for tab completion")
    shell.add_argument("shell", choices=tuple(complete.SCRIPTS))
    bench.arguments(
        listed(verb("bench", bench.bench, "time, memory and energy of a variant on this machine"))
    )
    planned(verb("stale", ask.stale, "list results whose code has changed since"))
    schema = verb("schema", ask.schema, "write the JSON schemas of the config files")
    schema.add_argument("--out", default="config/schema", help="folder (default: config/schema)")

    def job(name: str, run: Callable[[argparse.Namespace], int], says: str, out: str) -> None:
        sub = verb(name, run, says)
        sub.add_argument("--spec", required=True, help="the job's spec file")
        sub.add_argument("--out", required=True, help=out)

    job("generate", jobs.generate, "write the generated videos", "folder of the videos")
    job("pretrain", jobs.pretrain, "pre-train a small backbone", "weights file")
    job(
        "premise",
        jobs.premise,
        "check what the pre-trained backbone can and cannot see",
        "JSON file",
    )
    job("train", jobs.train, "train one run", "checkpoint file")
    score = planned(verb("evaluate", jobs.evaluate, "evaluate one run, or a released checkpoint"))
    score.add_argument("variant", nargs="?", help="with --official: <paper>/<variant> it is of")
    score.add_argument("--spec", help="the job's spec file")
    score.add_argument("--out", help="JSON file (with --official, default: print)")
    score.add_argument("--official", help="checkpoint of the method's authors, instead of our own")
    fetch = verb("fetch", jobs.fetch, "bring released weights and CLIP's vocabulary into the cache")
    fetch.add_argument("names", nargs="*", help="backbones or clip-bpe; none: list what is needed")
    planned(fetch)
    data.arguments(verb("data", data.data, "fetch, extract and prepare real videos"), planned)
    command.arguments(verb("lease", command.lease, command.SAYS))
    planned(verb("collect", jobs.collect, "all numbers, ours and theirs, into rows.csv"))
    planned(verb("report", jobs.report, "tables, plots and the page from rows.csv"))
    return parser


def _cost(args: argparse.Namespace) -> int:
    return (memory.cost if memory.asked(args) else counts.cost)(args)


def main(argv: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 a counted cell is off without a reason or counters differ, 2 bad input."""
    words = sys.argv[1:] if argv is None else argv
    if words[:1] == [complete.VERB]:
        return complete.complete(_parser(), words[1:])
    args = _parser().parse_args(words)
    try:
        return args.run(args)
    except UserError as e:
        print(f"vidtune {args.verb}: {e}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"vidtune {args.verb}: interrupted", file=sys.stderr)
        return 130
