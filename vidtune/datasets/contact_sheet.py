"""A contact sheet: the middle frames of some clips in one jpg."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageOps

from vidtune.data.jpg_folder import write_jpg
from vidtune.data.records import Record
from vidtune.data.video import read_frames
from vidtune.spec import UserError

TILE = (160, 120)  # width, height of a clip's picture, pixels
COLUMNS = 6


def contact_sheet(records: Sequence[Record], columns: int = COLUMNS) -> bytes:
    """A jpg with `columns` pictures a row; a clip that cannot be read stays grey."""
    width, height = TILE
    rows = -(-len(records) // columns)
    sheet = Image.new("RGB", (min(columns, len(records)) * width, rows * height), "grey")
    for i, record in enumerate(records):
        try:
            frame = Image.fromarray(read_frames(record.path, [record.frames // 2])[0])
        except UserError:
            continue
        tile = ImageOps.pad(frame, TILE)  # the whole frame, on black
        sheet.paste(tile, (i % columns * width, i // columns * height))
    jpg = BytesIO()
    write_jpg(jpg, np.asarray(sheet))
    return jpg.getvalue()
