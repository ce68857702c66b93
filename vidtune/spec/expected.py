"""The numbers that a healthy run of a scale has on another machine."""

from collections.abc import Iterator

from vidtune.spec.frozen import Count, Frozen, Task
from vidtune.spec.names import Name

Range = tuple[float, float]  # least and largest, in the metric's unit


class Expected(Frozen):
    """One scale of `config/expected.yaml`, which `vidtune reference --expected` writes."""

    name: Name  # the scale
    reference: dict[Task, str]  # the scale whose reference results it was derived from
    seeds: Count  # whose mean a range is of
    premise: dict[Task, dict[str, Range]]  # in percent
    learned: dict[str, dict[str, Range]]  # variant -> metric -> range

    def problems(self) -> Iterator[str]:
        parts = {"premise": self.premise, "learned": self.learned}
        for part, named in parts.items():
            for name, ranges in named.items():
                for metric, (low, high) in ranges.items():
                    if low > high:
                        yield f"{part}.{name}.{metric}: expected [least, largest]; swap the two"
