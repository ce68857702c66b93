"""The documentation as a site: `make docs` writes it to docs/_build.

Pages of docs/reference are generated as it is built (generated.py), from the verbs, the specs of the
configuration and the sample of results; the others are plain Markdown and read as well without the site.
"""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import generated  # noqa: E402

from vidtune import __version__  # noqa: E402

project = "vidtune"
release = __version__
copyright = "the vidtune authors, Apache-2.0"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
nitpicky = True
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
html_theme = "furo"
html_title = "vidtune"
html_copy_source = False

generated.write(HERE.parent)


def read(app, name, source):
    """Let links to documents outside of docs/ lead to the site's pages of them."""
    path = HERE / f"{name}.md"
    if path.parent == HERE:
        source[0] = generated.moved(source[0], path, HERE, HERE.parent)


def setup(app):
    app.connect("source-read", read)
