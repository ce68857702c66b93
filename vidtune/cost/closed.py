"""What a method costs in closed form: arithmetic of widths, depths, tokens and frames alone.

No network is built or run. Every form gives multiply-accumulates of matrix products, attention's
among them, for one video in evaluation, with low-rank updates merged: the independent count of
`vidtune.cost.audit`. A new method's form goes into one of the modules read here.
"""

from collections.abc import Callable

from vidtune.cost import closed_merging, closed_recognition, closed_retrieval
from vidtune.cost.closed_parts import Macs
from vidtune.spec import Model

FORMS: dict[str, Callable[[Model], Macs]] = {
    **closed_recognition.FORMS,
    **closed_retrieval.FORMS,
    **closed_merging.FORMS,
}
