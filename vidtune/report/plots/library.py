"""matplotlib, whatever the environment says of it: figures are drawn on canvases that are named."""

import logging
import os

os.environ["MPLBACKEND"] = "agg"  # that of a notebook's kernel is not installed here
logging.getLogger("matplotlib").setLevel(logging.ERROR)  # it tells of caches that it cannot write

import matplotlib  # noqa: E402

__all__ = ["matplotlib"]
