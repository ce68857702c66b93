"""Record where a number comes from: commit, versions, device, and a digest of the deciding code.

A digest is a hash over the syntax trees of some entry modules and of all modules of this package
that they import, directly or through others: comments, docstrings and layout do not change it.
Methods are loaded by name, so that a result depends on its own method's folder alone.
"""

import ast
import hashlib
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vidtune import __version__
from vidtune.spec import Run
from vidtune.spec.errors import printable
from vidtune.spec.read import dump

PACKAGE = Path(__file__).parent


def _file(module: str) -> Path | None:
    """Return the source file of a module of this package; None if there is no such module."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    return next(filter(Path.is_file, (path.with_suffix(".py"), path / "__init__.py")), None)


@cache
def _syntax(path: Path) -> tuple[str, frozenset[str]]:
    """Return a dump of a file's syntax tree without docstrings, and the modules of this package
    that it imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = _imported(path, node)
            imports |= {module, *(f"{module}.{a.name}" for a in node.names)}
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:]
    return ast.dump(tree), frozenset(m for m in imports if m.split(".")[0] == PACKAGE.name)


def _imported(path: Path, node: ast.ImportFrom) -> str:
    """Return the module a file imports from; a relative import starts at the file's folder."""
    if not node.level:
        return node.module or ""
    folders = path.relative_to(PACKAGE.parent).parts[: -node.level]
    return ".".join([*folders, *filter(None, [node.module])])


@cache
def digest(*entries: str) -> str:
    """Return twelve hex digits over the entry modules and all that they import in this package.

    An entry must be a module; what is imported from one may be any name in it.
    """
    absent = [entry for entry in entries if _file(entry) is None]
    assert not absent, f"no modules of this package: {', '.join(absent)}"
    todo, seen = list(entries), {}
    while todo:
        path = _file(todo.pop())
        if path is None or path in seen or path == PACKAGE / "__init__.py":
            continue  # the package's root holds its version, which decides nothing
        seen[path], imports = _syntax(path)
        todo += imports
    names = sorted(seen, key=lambda p: p.relative_to(PACKAGE))
    text = "".join(f"{p.relative_to(PACKAGE)}\n{seen[p]}\n" for p in names)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _method(method: str) -> tuple[str, str]:
    """Return the modules of a method that decide its numbers; they import its other modules."""
    return f"vidtune.methods.{method}.model", f"vidtune.methods.{method}.options"


def model_digest(method: str) -> str:
    """Digest of the code that decides a method's counted costs."""
    return digest("vidtune.cost.count", *_method(method))


def memory_digest(method: str) -> str:
    """Digest of the code that decides a method's predicted memory."""
    released = f"vidtune.cost.released.{method}"  # some methods need none
    code = ["vidtune.cost.predict_memory", *([released] if _file(released) else [])]
    return digest(*code, *_method(method))


def step_digest(method: str) -> str:
    """Digest of the code that decides what a method's training step needs."""
    return digest("vidtune.cost.predict_step", *_method(method))


def bench_digest(method: str) -> str:
    """Digest of the code that decides a method's measured costs."""
    return digest("vidtune.cost.measure", *_method(method))


def run_digest(run: Run) -> str:
    """Digest of the code that decides what a run learns, with its pretraining and its clips."""
    code = ["vidtune.engine.train", "vidtune.engine.evaluate"]
    if run.model.backbone.pretraining:
        code.append("vidtune.engine.pretrain")
    if run.dataset.generated:
        code.append("vidtune.motion.generate")
    return digest(*code, *_method(run.model.method))


def look_digest(run: Run) -> str:
    """Digest of the code that decides what is found in a run's trained model."""
    return digest("vidtune.engine.look.look", *_method(run.model.method))


def spec_digest(spec: BaseModel) -> str:
    """Digest of a job's spec."""
    return hashlib.sha256(dump(spec).encode()).hexdigest()[:12]


@cache
def commit() -> str:
    """Return the commit, with "+" if the tree differs from it; "" outside a repository."""
    git = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def stamp(digest: str, device: str, spec: BaseModel | None = None) -> dict[str, Any]:
    """Return what stands beside every result: the code, machine, command and spec that made it."""
    versions = {"python": platform.python_version(), "vidtune": __version__}
    for name in ("torch", "numpy", "av"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return {
        "commit": commit(),
        "digest": digest,
        "spec": spec_digest(spec) if spec else "",
        "device": device,
        "platform": f"{platform.system()} {platform.machine()}",
        "versions": versions,
        "command": printable(" ".join([Path(sys.argv[0]).name, *sys.argv[1:]])),
    }
