"""Places in texts of the configuration that take a number of ours.

A standing reason or a contradiction of `config/papers/<paper>.yaml` writes "{<row>/<metric>}", as in
"the released code costs {e14-ssv2-f8/tflops} T"; the report puts our number in, in the metric's
digits or as a format after a colon says: "{evl-l14/gflops:.0f}".
"""

import re
from collections.abc import Iterator

from vidtune.spec.paper import Paper

PLACEHOLDER = re.compile(r"\{([\w.-]+)/(\w+)(?::([^{}]*))?\}")  # row, metric, format
FILLED_KINDS = ("counted", "predicted", "measured")  # of the metrics that a text may name


def filled_texts(paper: Paper) -> Iterator[tuple[str, str]]:
    """(key, text) of every text of a paper that the report fills."""
    for k, numbers in enumerate(paper.numbers):
        for name, reason in numbers.reasons.items():
            yield f"numbers.{k}.reasons.{name}", reason
    for k, one in enumerate(paper.contradictions):
        for field in ("says", "against", "note"):
            yield f"contradictions.{k}.{field}", getattr(one, field)


def problem_of_format(form: str) -> str:
    """Why a number cannot be written so; "": it can."""
    try:
        format(1.0, form)
    except ValueError as e:
        return str(e)
    return ""
