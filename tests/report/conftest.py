"""Made results with their report, once for all tests that read them."""

import pytest
from helpers.made_results import make_results

from vidtune.plan import Plan
from vidtune.report.page import page


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    """A results folder with every kind of file, one diverged run, and its report."""
    plan = make_results(tmp_path_factory.mktemp("results"))
    page.write(plan)
    return plan
