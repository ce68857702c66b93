"""Write tables, plots and the page from rows.csv; with --only, no other files than those."""

import argparse

from vidtune.cli.inputs import add_plan, as_path, read_plan


def arguments(parser: argparse.ArgumentParser) -> None:
    add_plan(parser)
    parser.add_argument(
        "--only", type=as_path, nargs="+", default=(), metavar="FILE", help="of the results"
    )


def run(args: argparse.Namespace) -> None:
    from vidtune.report.page import page

    page.write(read_plan(args), args.only)
