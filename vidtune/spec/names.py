"""Text that becomes a path, or one part of it."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from vidtune.spec.errors import UserError

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
NAME = rf"^{_PART}$"
VARIANT = rf"^({_PART}/{_PART})?$"  # "", of a model without a name
RUN = rf"^{_PART}/{_PART}@[0-9]{{1,9}}$"
_LETTERS = "letters, digits, dots, - and _, of which the first is a letter or a digit"
PATTERNS = {  # pattern -> what is expected
    NAME: f"a name of at most 100 {_LETTERS}",
    VARIANT: f"<paper>/<variant>, each of at most 100 {_LETTERS}",
    RUN: f"<paper>/<variant>@<seed>, each of at most 100 {_LETTERS}",
}

Name = Annotated[str, Field(pattern=NAME)]
VariantName = Annotated[str, Field(pattern=VARIANT)]
RunName = Annotated[str, Field(pattern=RUN)]


def check_path(text: str) -> str:
    """A path as it is written. Raises `ValueError` where no file system has it."""
    if not text.strip():
        raise ValueError("expected a path; found none")
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise ValueError(f"{text!r}: a path with control characters; rename it")
    try:
        longest = max(len(os.fsencode(part)) for part in Path(text).parts or (".",))
    except UnicodeEncodeError:
        raise ValueError(f"{text!r}: a path that is not UTF-8; rename it") from None
    if longest > 255 or len(text) > 3000:
        raise ValueError(f"{text[:60]!r}...: a path that is too long; shorten it")
    return text


PathText = Annotated[str, AfterValidator(check_path)]


def expand(text: str, key: str) -> Path:
    """The path of a text that may begin with ~. Raises `UserError`, which names `key`, where nobody knows
    whose home that is."""
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise UserError(f"{key}: {text}: no home folder is known of that user; write it out")
    return Path(path)
