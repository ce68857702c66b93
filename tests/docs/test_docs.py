"""The documents: their links lead somewhere, their site is built without a warning."""

import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from helpers.common import REPO
from helpers.documents import DOCUMENTS, headings, links


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(REPO)))
def test_links_lead_to_files_and_headings(path):
    for file, heading in links(path):
        if "docs/reference" in str(file):
            continue  # generated with the site, whose builder checks it
        assert file.exists(), f"{path}: {file}"
        assert not heading or heading in headings(file), f"{path}: {file}#{heading}"


def test_every_document_of_the_folder_is_in_the_site():
    index = (REPO / "docs/index.md").read_text()
    listed = {
        line
        for block in re.findall(r"\{toctree\}\n(.*?)```", index, flags=re.S)
        for line in block.split()
    }
    assert {p.stem for p in (REPO / "docs").glob("*.md")} - {"index"} <= listed


@pytest.mark.skipif(not find_spec("sphinx"), reason="Sphinx is not installed: `make docs` does it")
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", REPO / "docs", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "vidtune explain" in (tmp_path / "reference/verbs.html").read_text()
