"""Something-Something V1 (Goyal et al., ICCV 2017).

something-something-v1-train.csv and -validation.csv, without a header:
    100218;Pushing something from left to right
something-something-v1-labels.csv, a label a line. Classes count in alphabetical order, as in the
lists of Side4Video and of earlier code:
    Pushing something from left to right
"""

from vidtune.datasets.readers.clip_lists import Listed, ListFiles, Lists, by_split, check_label
from vidtune.datasets.readers.parsing import read_lines
from vidtune.spec import UserError


def read(files: ListFiles) -> Lists:
    classes = tuple(sorted(label.strip() for _, label in read_lines(files.path("labels"))))
    known = set(classes)

    def clip(line: str, place: str) -> Listed:
        name, semicolon, label = map(str.strip, line.partition(";"))
        if not semicolon:
            raise UserError(f"{place}: expected <id>;<label>; found no semicolon; fix the line")
        return Listed(name, (name,), label=check_label(label, known, place))

    return Lists(by_split(files, read_lines, clip), classes)
