"""What a paper consists of: its tables and figures, in the paper's order."""

from collections.abc import Iterable, Iterator

from vidtune.spec.frozen import Frozen

NUMBERED = ("Table ", "Figure ")  # how the places begin that a paper's list must name


class Content(Frozen):
    """A table or figure, or a part of one. Without numbers it says what it shows and why they lack."""

    where: str  # "Table 11", as in `Numbers.where`
    says: str | None = None  # what it shows; None: the caption of its numbers
    lacks: str | None = None  # what of it is missing, and why
    source: str | None = None  # where the numbers that are here were taken from
    plots: tuple[str, ...] = ()  # of the report, which show our numbers the same way


def problems_of_contents(contents: tuple[Content, ...], printed: Iterable[str]) -> Iterator[str]:
    """What is wrong with a list of contents, given the places that have numbers."""
    places, listed = [*dict.fromkeys(printed)], [c.where for c in contents]
    for k, one in enumerate(contents):
        if one.where in listed[:k]:
            yield f"contents.{k}: {one.where} is listed twice; drop one"
        if one.where not in places and not (one.says and one.lacks):
            needs = (
                "add them to numbers, or say here what it shows (says) and why they lack (lacks)"
            )
            yield f"contents.{k}: {one.where} has no numbers; {needs}"
    for where in places if contents else ():
        if where.startswith(NUMBERED) and where not in listed:
            yield f"contents: {where} has numbers and is not listed; add it"
