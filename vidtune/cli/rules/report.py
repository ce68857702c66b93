"""Write tables, plots and the page from rows.csv."""

import argparse

from vidtune.cli.inputs import add_plan, read_plan

arguments = add_plan


def run(args: argparse.Namespace) -> None:
    from vidtune.report.page import page

    page.write(read_plan(args))
