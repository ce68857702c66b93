"""Every declared variant at the size of its paper, without memory: on the meta device."""

import pytest
from helpers.common import REPO

from vidtune.methods.build import build_model
from vidtune.plan import load

MODELS = load(REPO / "config").models


@pytest.mark.parametrize("name", MODELS)
def test_builds_at_full_size(name):
    net = build_model(MODELS[name], device="meta")
    assert all(p.is_meta for p in net.parameters())
    assert any(p.requires_grad for p in net.parameters())
