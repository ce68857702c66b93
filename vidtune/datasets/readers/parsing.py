"""Parses files of lists as they come: with a byte order mark, CRLF, quotes, or not in UTF-8."""

import csv
import io
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from vidtune.spec import UserError, parse_json, read_bytes


def read_text(path: Path) -> str:
    """A file's text without a byte order mark. Raises `UserError` where it is not UTF-8, or no text."""
    data = read_bytes(path)
    if b"\0" in data:
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise UserError(f"{path}:{line}: a NUL byte; save the file as text in UTF-8")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise UserError(
            f"{path}:{line}: not UTF-8 (byte 0x{data[e.start]:02x}); save the file as UTF-8"
        ) from None


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, line) for every line that is not blank, without its end."""
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line.strip():
            yield f"{path}:{number}", line.rstrip("\r")


def read_csv(
    path: Path, columns: Iterable[str], delimiter: str = ","
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield (place, row) for a csv with a header; quoted fields may hold commas and line ends.

    Raises `UserError` where one of `columns` is not in the header, or a row has another length.
    """
    rows = _rows(path, delimiter)
    place, header = next(rows, (f"{path}:1", []))
    header = [name.strip() for name in header]
    for name in columns:
        if name not in header:
            have = ", ".join(header) or "nothing"
            raise UserError(f"{place}: column {name!r}: missing; found {have}; rename one")
    for name in header:
        if header.count(name) > 1:
            raise UserError(f"{place}: column {name!r}: there twice; rename or remove one")
    for place, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"{place}: expected {len(header)} fields; found {len(row)}; quote fields that hold "
                f"{delimiter!r}"
            )
        yield place, dict(zip(header, row, strict=True))


def _rows(path: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    reader = csv.reader(io.StringIO(read_text(path), newline=""), delimiter=delimiter, strict=True)
    place = 1
    try:
        for row in reader:
            if any(field.strip() for field in row):
                yield f"{path}:{place}", row
            place = reader.line_num + 1
    except csv.Error as e:
        raise UserError(f"{path}:{place}: not valid csv ({e}); fix the quotes") from None


def read_json(path: Path, kind: type | tuple[type, ...], what: str) -> Any:
    """The content of a JSON file. Raises `UserError` where it is no `kind`, which is `what`."""
    data = parse_json(read_text(path), f"{path}", "fetch or save it again", unique=False)
    if not isinstance(data, kind):
        raise UserError(f"{path}: expected {what}; found {type(data).__name__}")
    return data


def get_field(item: Any, key: str, kind: type | tuple[type, ...], place: str) -> Any:
    """A value of an object in a JSON file. Raises `UserError` where it is absent or no `kind`."""
    if not isinstance(item, dict) or key not in item:
        raise UserError(f"{place}: {key}: missing; the file is not in the official form")
    if not isinstance(item[key], kind) or isinstance(item[key], bool):
        names = " or ".join(k.__name__ for k in (kind if isinstance(kind, tuple) else (kind,)))
        raise UserError(f"{place}: {key}: expected {names}; found {str(item[key])[:40]!r}; fix it")
    return item[key]


class _Plain(pickle.Unpickler):
    """Unpickles text, numbers, lists and dicts; a pickle may otherwise run any program."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def read_pickle(path: Path) -> Any:
    """The content of a pickle of plain values. Raises `UserError` for any other pickle."""
    data = io.BytesIO(read_bytes(path))
    try:
        return _Plain(data, encoding="utf-8").load()
    except Exception as e:  # a damaged pickle raises anything
        raise UserError(
            f"{path}: not a pickle of plain lists and texts ({e}); fetch it again"
        ) from None
