"""Where a dataset's files come from: addresses, hashes, or the steps to gated files."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from vidtune.spec.address import is_safe, shown
from vidtune.spec.frozen import Bytes, Frozen, Text

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FILE = r"^[A-Za-z0-9_?*\[\]][A-Za-z0-9._+?*\[\]-]*$"  # a name, or a pattern of names; no folder


def _safe(url: str) -> str:
    if not is_safe(url):
        raise ValueError(f"expected an https address; found {shown(url)!r}")
    return url


Address = Annotated[str, AfterValidator(_safe)]


class Source(Frozen):
    """One file of a dataset as its owner publishes it, or several that match a pattern.

    It lies in `<data>/<dataset>/downloads/` under its name, fetched or copied by hand. Archives are
    extracted into `raw/` (videos) or `annotations/`; other files are copied into them as they are.
    """

    file: Annotated[str, Field(pattern=FILE, max_length=200)]
    holds: Literal["videos", "annotations"]
    url: Address | None = None  # None: gated, or nobody publishes it as a file
    mirrors: tuple[Address, ...] = ()  # the same bytes elsewhere
    bytes: Bytes | None = None  # None: unknown
    sha256: Sha256 | None = None  # None: nobody has computed it; `vidtune data lock` fills it in
    lists: bool = False  # the file names further archives, one address a line
    joined: Annotated[str, Field(pattern=FILE, max_length=200)] | None = (
        None  # pattern of part files inside; joined by name they are one archive
    )
    gated: bool = False  # needs a form or a licence; never fetched
    steps: tuple[Text, ...] = ()  # gated: what the user does, one step each
    optional: bool = False  # no run needs it

    def problems(self) -> Iterator[str]:
        if self.gated != (self.url is None) or self.gated != bool(self.steps):
            yield "give an address (url), or gated: true with its steps"
        if self.gated and (self.mirrors or self.lists):
            yield "a gated file has neither mirrors nor a list of addresses"
        if self.many and not self.gated:
            yield "a pattern of names is for gated files; give one name per address"
        if self.many and (self.bytes or self.sha256):
            yield "size and sha256 are of one file; found a pattern of names"

    @property
    def many(self) -> bool:
        """Whether `file` is a pattern of names."""
        return any(c in self.file for c in "*?[")

    @property
    def urls(self) -> tuple[str, ...]:
        """All addresses, the owner's first."""
        return (() if self.url is None else (self.url,)) + self.mirrors
