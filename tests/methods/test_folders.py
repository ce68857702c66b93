"""A method is one folder: what stands in it decides its own numbers, and no other method's."""

import shutil
from pathlib import Path

import pytest
from helpers.common import REPO

from vidtune import provenance
from vidtune.plan.registry import method_names

DIGESTS = {
    "counted": provenance.model_digest,
    "predicted": provenance.memory_digest,
    "measured": provenance.bench_digest,
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package to be changed, whose digests are taken."""
    copy = Path(shutil.copytree(REPO / "vidtune", tmp_path / "vidtune"))
    monkeypatch.setattr(provenance, "PACKAGE", copy)
    return copy


def digests(method: str) -> dict[str, str]:
    provenance.digest.cache_clear()
    provenance._syntax.cache_clear()
    return {kind: digest(method) for kind, digest in DIGESTS.items()}


@pytest.mark.parametrize(
    "file, changed",
    [
        ("methods/dist/model.py", {"counted", "predicted", "measured"}),
        ("methods/dist/options.py", {"counted", "predicted", "measured"}),
        ("methods/dist/network.py", {"counted", "predicted", "measured"}),
        ("cost/released/dist.py", {"predicted"}),
        ("methods/dist/official.py", set()),
        ("methods/dist/closed_form.py", set()),
        ("methods/dist/__init__.py", set()),
    ],
)
def test_a_file_of_the_folder_decides_its_own_methods_numbers(package, file, changed):
    before, other = digests("dist"), digests("aim")
    path = package / file
    path.write_text(path.read_text() + "\nADDED = 1\n")
    after = digests("dist")
    assert {kind for kind in DIGESTS if after[kind] != before[kind]} == changed
    assert digests("aim") == other
    provenance.digest.cache_clear()


def test_the_deciding_modules_of_every_method_exist():
    """A module that is renamed must not leave a digest unnoticed."""
    names = method_names()
    assert len({digest(m) for digest in DIGESTS.values() for m in names}) == 3 * len(names)
    with pytest.raises(AssertionError, match=r"this package: vidtune\.engine\.absent"):
        provenance.digest("vidtune.engine.train", "vidtune.engine.absent")
