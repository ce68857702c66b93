"""The official codes' rules of which frames are taken, by the names that the goldens give them."""

import re
from typing import Any

from helpers import golden as goldens
from vidtune.data.sampling import indices
from vidtune.spec import Recipe


def of_kind(kind: str) -> list[str]:
    return [n for n in goldens.names() if re.match(rf"extras_{kind}(_|$)", n)]


def recipe(**changes: Any) -> Recipe:
    base = {"name": "r", "task": "recognition", "lr": 1.0, "weight_decay": 0.0, "batch": 1}
    return Recipe.model_validate({**base, **changes})


# case -> (recipe, indices start at 1); groups named k and r are clips and stride
CASES: list[tuple[str, dict[str, Any], int]] = [
    (r"s4v_sth_(?:val|test_(?P<k>\d+)clips)", {"sampler": "segments"}, 1),
    (r"s4v_k400_(?:val|test_(?P<k>\d+)clips)", {"sampler": "kinetics"}, 1),
    (r"s4v_k400_dense_test_(?P<k>\d+)clips", {"sampler": "dense"}, 1),
    (r"(?:evl|st_adapter)_test_rate(?P<r>\d+)_views(?P<k>\d+)", {"sampler": "stride"}, 0),
    (r"(?:st_adapter|aim)_test_uniform", {"sampler": "tsn"}, 0),
    (r"aim_test_k400_(?P<k>\d+)clips_int(?P<r>\d+)", {"sampler": "mmaction"}, 0),
    (r"dist_segment_test_(?P<k>\d+)views", {"sampler": "dist"}, 0),
]
FRAMEPOS = {"0": "head", "1": "tail", "2": "even"}


def rule_of(case: str) -> tuple[Recipe, int, int]:
    """(recipe, clips, what indices start at) of a golden's case."""
    for pattern, keys, start in CASES:
        match = re.fullmatch(pattern, case)
        if match:
            args = match.groupdict()
            stride = int(args["r"]) if args.get("r") else None
            return recipe(steps=1, stride=stride, **keys), int(args.get("k") or 1), start
    raise AssertionError(f"{case}: not a known rule")


def clips_of(case: str, n: int, frames: int, how: Recipe | None = None) -> list[int]:
    """All clips of a golden's case, one after the other, as the official code counts."""
    rule, clips, start = rule_of(case)
    taken = [indices(n, 30.0, frames, how or rule, None, j, clips) for j in range(clips)]
    return [i + start for clip in taken for i in clip]
