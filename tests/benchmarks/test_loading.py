"""The loader's benchmark knows every dataset, and what a training decodes."""

from pathlib import Path

import pytest
from helpers.common import REPO

from vidtune.cost.fits import trained
from vidtune.plan import Plan, load


@pytest.fixture
def loading(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(REPO / "benchmarks"))
    import loading

    return loading


@pytest.fixture(scope="module")
def full() -> Plan:
    return load(REPO / "config", {"scale": "full"})


def test_every_dataset_has_a_format_and_a_recipe_has_its_row(loading, full):
    assert {run.dataset.name for run in trained(full).values()} == set(loading.FORMATS)
    rows = list(loading.rows(full, 0.0, "side4video-ss1-l"))
    assert [row[:3] for row in rows] == [("side4video-ss1-l", "ssv1", n) for n in ("8", "16")]
    assert {row[4] for row in rows} == {f"{30 * 86017:,}"}
    assert all(float(row[3]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("side4video/clip4clip-frozen-b32-msrvtt", (9000, True)),
        ("side4video/clip4clip-b32-msrvtt", (5 * 180_000, False)),  # 16 GB of clips
        ("side4video/clip4clip-b32-msvd", (1200, True)),  # 2 GB
        ("side4video/b16-msrvtt", (5 * 180_000, False)),  # frames are drawn anew
        ("side4video/evl-l14-k400", (50_000 * 256, False)),
    ],
)
def test_fixed_clips_are_decoded_once(variant, expected, loading, full):
    run = trained(full)[variant]
    assert loading.decoded(full, run, loading.clips_of(run, Path())) == expected
