"""Released files (weights, a vocabulary): where each lies in the cache and how it is checked.

This module downloads nothing: for a missing file its error says where it comes from and where it
belongs. `vidtune fetch` downloads it; a file put into its place by hand is checked the same way.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

from vidtune.plan.registry import options_class
from vidtune.spec import Backbone, Run, UserError, shown
from vidtune.spec.names import expand

CACHE = "VIDTUNE_CACHE"  # environment: the cache's folder


def folder() -> Path:
    """Return the cache's folder: $VIDTUNE_CACHE, or the user's own cache folder.

    Raises `UserError` where no home folder is known.
    """
    try:
        place = os.environ.get(CACHE) or user_cache_dir("vidtune")
    except RuntimeError:  # a user without an entry in /etc/passwd
        raise UserError(
            f"no home folder is known of this user; set {CACHE}, or HOME, to a folder of your own"
        ) from None
    return expand(place, CACHE).absolute()


@dataclass(frozen=True)
class ReleasedFile:
    """A public file; `sha256` and `bytes` are None where nobody has published them."""

    name: str  # of the file for `vidtune fetch`
    place: str  # path below the cache
    urls: tuple[str, ...]  # the same file at each
    sha256: str | None
    bytes: int | None

    @property
    def path(self) -> Path:
        return folder() / self.place


# The mirror's file is the same git blob, 7b5088a.
CLIP_BPE = ReleasedFile(
    name="clip-bpe",
    place="vocabularies/bpe_simple_vocab_16e6.txt.gz",
    urls=(
        "https://github.com/openai/CLIP/raw/main/clip/bpe_simple_vocab_16e6.txt.gz",
        "https://github.com/ArrowLuo/CLIP4Clip/raw/508ffa3de39ba0563a03199c440ab602a72e9b6f/"
        "modules/bpe_simple_vocab_16e6.txt.gz",
    ),
    sha256="924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
    bytes=1356917,
)


def weights(backbone: Backbone) -> ReleasedFile | None:
    """Return the weights of a released backbone, or None where this project pre-trains it."""
    w = backbone.weights
    if w is None:
        return None
    return ReleasedFile(backbone.name, f"weights/{backbone.name}.pt", (w.url,), w.sha256, w.bytes)


def needed(*runs: Run) -> list[ReleasedFile]:
    """Return what runs read from the cache, each file once."""
    files: dict[str, ReleasedFile | None] = {}
    for run in runs:
        m = run.model
        reads_text = m.task == "retrieval" or options_class(m.method).reads_text
        files[m.backbone.name] = weights(m.backbone)
        if reads_text and m.backbone.text.vocabulary == CLIP_BPE.name:
            files[CLIP_BPE.name] = CLIP_BPE
    return [file for file in files.values() if file]


def find(file: ReleasedFile, path: Path | None = None) -> Path:
    """Return where a released file is, in the cache or at `path`, its size and sha256 checked.

    Raises `UserError` where it is absent or another file.
    """
    path = path or file.path
    expected = (
        f"{shown(file.urls[0])} ({format_size(file.bytes)}, sha256 {file.sha256 or 'unknown'})"
    )
    if not file_exists(path):
        raise UserError(
            f"{path}: no such file; run `vidtune fetch {file.name}`, or put {expected} there by hand"
        )
    if problem := describe_mismatch(path, file.sha256, file.bytes):
        raise UserError(
            f"{path}: {problem}; expected {expected}; delete it and run `vidtune fetch {file.name}`"
        )
    return path


def format_size(size: int | None) -> str:
    return "size unknown" if size is None else f"{size:,} bytes"


def file_exists(path: Path) -> bool:
    """Whether a file exists. Raises `UserError` where its folder cannot be read."""
    try:
        return path.is_file()
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a readable place") from None


def describe_mismatch(path: Path, sha256: str | None, size: int | None) -> str | None:
    """Compare a file with the size and the sha256 that are known; None: both agree.

    Raises `UserError` where it cannot be read.
    """
    try:
        actual = path.stat().st_size
        if size is not None and actual != size:
            return f"{actual:,} bytes, not {size:,}"
        if sha256 is not None:
            with path.open("rb") as f:
                digest = hashlib.file_digest(f, "sha256").hexdigest()
            if digest != sha256:
                return f"sha256 is not {sha256} but {digest}"
    except OSError as e:
        raise UserError(f"{path}: {e.strerror}; expected a readable file") from None
    return None
