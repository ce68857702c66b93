"""Archives of videos and lists: their files one by one, and the reasons why one is not extracted."""

from vidtune.datasets.archives.errors import Torn, Unsafe
from vidtune.datasets.archives.reading import (
    CHUNK,
    HIDDEN,
    Member,
    damage_as_torn,
    joined_members,
    members,
    safe_path,
)
