"""Begin something of your own: `vidtune new method NAME` copies the template of a method.

The folder is the registry, so the copy is a method at once. CONTRIBUTING.md, "A method", says what is next.
"""

import argparse
import keyword
import os
import re
import shutil
import tempfile
from pathlib import Path

from vidtune.plan import registry
from vidtune.spec import UserError

NAME = r"[a-z][a-z0-9_]{0,99}"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("method",))
    parser.add_argument(
        "method_name", metavar="name", help="of its folder in vidtune/methods, as in side4video"
    )


def run(args: argparse.Namespace) -> None:
    folder = make(args.method_name)
    print(
        f"{folder}: a method, by now that of the template\n"
        "next:\n"
        f"  {folder}/options.py   its ablations, with the paper's defaults\n"
        f"  {folder}/model.py     the model\n"
        f"  {folder}/__init__.py  says what is left to do\n"
        f"  config/papers/<paper>.yaml: a variant of it, as in\n"
        f"    b16-ssv1: {{method: {args.method_name}, backbone: vit-b16, dataset: ssv1, frames: 8, "
        "recipe: side4video-ss1-b}\n"
        "  make test             tries it on every task that it serves"
    )


def make(name: str) -> Path:
    """Copy the template to a method's folder, with its names replaced. Raises `UserError`."""
    folder, template = registry.METHODS / name, registry.METHODS / registry.TEMPLATE
    if not re.fullmatch(NAME, name) or keyword.iskeyword(name):
        raise UserError(
            f"{name[:80]!r}: expected a name that Python can import: small letters, digits and _, a "
            "letter first"
        )
    if folder.exists() or folder.with_suffix(".py").exists():
        raise UserError(f"{folder}: exists already; choose another name")
    try:
        with tempfile.TemporaryDirectory(dir=registry.METHODS, prefix=".new-") as place:
            made = Path(place) / name
            made.mkdir()
            for file in sorted(template.glob("*.py")):
                (made / file.name).write_text(
                    _named(file.read_text(encoding="utf-8"), name), "utf-8"
                )
            shutil.copymode(template, made)
            os.rename(made, folder)
    except OSError as e:
        raise UserError(f"{folder}: cannot write: {e.strerror}") from None
    return folder


def _named(text: str, name: str) -> str:
    """A file of the template as one of the method."""
    title = "".join(part.capitalize() for part in name.split("_"))
    return re.sub(r"\bTemplate\b", title, text).replace("the template", title)
