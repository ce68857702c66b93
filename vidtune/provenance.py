"""Where a number comes from: commit, versions, device, and a digest of the code that decides it.

The digest is of the syntax tree of the modules an entry module imports from this package, directly
or through others: a comment, a docstring or the layout changes nothing. Methods are loaded by name,
so that a result depends on its own method's folder alone.
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

from vidtune.spec import Run
from vidtune.spec.read import dump

PACKAGE = Path(__file__).parent


def _file(module: str) -> Path | None:
    """The source file of a module of this package."""
    path = PACKAGE.parent.joinpath(*module.split("."))
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


@cache
def _syntax(path: Path) -> tuple[str, frozenset[str]]:
    """(dump of the tree without docstrings, modules of this package that it imports)."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imports |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = _imported(path, node)
            imports |= {module, *(f"{module}.{a.name}" for a in node.names)}
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            node.body = body[1:]
    return ast.dump(tree), frozenset(m for m in imports if m.split(".")[0] == PACKAGE.name)


def _imported(path: Path, node: ast.ImportFrom) -> str:
    """The module that a file imports from; a relative import counts from the file's folder."""
    if not node.level:
        return node.module or ""
    folders = path.relative_to(PACKAGE.parent).parts[: -node.level]
    return ".".join([*folders, *filter(None, [node.module])])


@cache
def digest(*entries: str) -> str:
    """Twelve hex digits over the entry modules and all they import from this package."""
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
    """The modules of a method that decide its numbers; they import the others of its folder."""
    return f"vidtune.methods.{method}.model", f"vidtune.methods.{method}.options"


def model_digest(method: str) -> str:
    """Of the code that decides a method's counted costs."""
    return digest("vidtune.cost.count", *_method(method))


def memory_digest(method: str) -> str:
    """Of the code that decides a method's predicted memory."""
    return digest(
        "vidtune.cost.predict_memory", f"vidtune.cost.released.{method}", *_method(method)
    )


def bench_digest(method: str) -> str:
    """Of the code that decides a method's measured costs."""
    return digest("vidtune.cost.measure", *_method(method))


def run_digest(run: Run) -> str:
    """Of the code that decides a trained and evaluated result, its backbone's and data's too."""
    code = ["vidtune.engine.train", "vidtune.engine.evaluate"]
    if run.model.backbone.pretraining:
        code.append("vidtune.engine.pretrain")
    if run.dataset.generated:
        code.append("vidtune.motion.generate")
    return digest(*code, *_method(run.model.method))


def spec_digest(spec: BaseModel) -> str:
    """Of what a job was asked to do."""
    return hashlib.sha256(dump(spec).encode()).hexdigest()[:12]


@cache
def commit() -> str:
    """The package's commit, with "+" where the tree differs from it; "" outside a repository."""
    git = ["git", "-C", str(PACKAGE), "describe", "--always", "--dirty=+", "--exclude=*"]
    try:
        done = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def stamp(digest: str, device: str, spec: BaseModel | None = None) -> dict[str, Any]:
    """What is written beside every result: made by which code, where, and of which spec."""
    versions = {"python": platform.python_version()}
    for name in ("vidtune", "torch", "numpy", "av"):
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
        "command": " ".join(Path(a).name if i == 0 else a for i, a in enumerate(sys.argv)),
    }
