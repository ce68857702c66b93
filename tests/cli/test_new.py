"""`vidtune new method`: a copy of the template under its own name."""

import ast
import shutil

import pytest
from helpers.common import REPO, one_line

from vidtune.plan import registry


@pytest.fixture
def methods(tmp_path, monkeypatch):
    """A folder of methods that holds the template alone."""
    folder = tmp_path / "methods"
    shutil.copytree(REPO / "vidtune/methods/template", folder / "template")
    monkeypatch.setattr(registry, "METHODS", folder)
    return folder


def test_a_method_is_the_template_under_its_own_name(methods, vidtune):
    code, out, _ = vidtune("new", "method", "my_side_2")
    made = methods / "my_side_2"
    assert code == 0 and str(made / "options.py") in out and "method: my_side_2" in out
    assert {p.name for p in made.iterdir()} == {"__init__.py", "model.py", "options.py"}
    classes = [
        n.name
        for n in ast.parse((made / "model.py").read_text()).body
        if isinstance(n, ast.ClassDef)
    ]
    assert classes == ["MySide2"]
    for file in ("model.py", "options.py"):
        assert "template" not in (made / file).read_text().lower()
    assert registry.method_names() == ["my_side_2"]
    assert {p.name for p in methods.iterdir()} == {"template", "my_side_2"}


def test_a_name_that_cannot_be_a_method_is_one_line(methods, vidtune):
    (methods / "build.py").touch()
    for name, says in (
        ("My-Method", "expected a name that Python can import"),
        ("class", "expected a name that Python can import"),
        ("template", "exists already"),
        ("build", "exists already"),
    ):
        code, _, err = vidtune("new", "method", name)
        assert code == 2 and says in one_line(err)
    assert {p.name for p in methods.iterdir()} == {"template", "build.py"}
