"""Which tables are shown, and what a published one shows besides its printed cells."""

from typing import Literal

from pydantic import Field

from vidtune.spec.frozen import Frozen


class Layout(Frozen):
    """What a published table shows besides what follows from its numbers."""

    title: str | None = None  # None: the caption's
    columns: tuple[str, ...] = ()  # metrics; (): the printed ones, as the paper orders them
    also: dict[Literal["task", "dataset", "frames"], tuple[str | int, ...]] | None = None
    note: str | None = None


class Overview(Layout):
    """Every variant that matches `also`, of every paper, with all that its paper prints of it."""

    title: str
    columns: tuple[str, ...]


class Table(Overview):
    """A table that is shown: a published one with the variants that match `also`, or an overview."""

    name: str
    paper: str | None = None  # None: an overview
    where: str | None = None  # the published table, as in `Numbers.where`


class Tables(Frozen):
    """`config/tables.yaml`."""

    overviews: dict[str, Overview]
    published: dict[str, dict[str, Layout]] = Field(
        default_factory=dict
    )  # paper -> where -> layout
