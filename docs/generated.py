"""Pages that are generated: verbs, configuration, where papers and code disagree, a sample of results."""

import ast
import inspect
import io
import json
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from vidtune.cli.main import VERBS, make_parser
from vidtune.plan import load
from vidtune.plan.config import Settings
from vidtune.plan.scale import Scale
from vidtune.report.numbers.device_costs import in_use
from vidtune.spec import Backbone, Dataset, Expected, GeneratedSet, Metric, Paper, Recipe
from vidtune.spec.table import Tables

SAMPLE = "results/reference/mini"
# Documents outside of docs/ that the site holds, and their names in docs/reference.
ALSO = {
    "README.md": "readme",
    "CONTRIBUTING.md": "contributing",
    "CHANGELOG.md": "changelog",
    "SECURITY.md": "security",
    "config/README.md": "config-folder",
    "results/README.md": "results-folder",
    "results/reference/README.md": "reference-results",
    "results/reference/claims.md": "learned-tests",
}
SPECS: dict[str, tuple[type[BaseModel], ...]] = {
    "config.yaml": (Settings,),
    "papers/<paper>.yaml": (Paper,),
    "scales.yaml": (Scale,),
    "backbones.yaml": (Backbone,),
    "datasets.yaml": (GeneratedSet, Dataset),
    "recipes.yaml": (Recipe,),
    "metrics.yaml": (Metric,),
    "tables.yaml": (Tables,),
    "expected.yaml": (Expected,),
}


def write(root: Path) -> None:
    """Write docs/reference of the repository `root`."""
    folder = root / "docs" / "reference"
    folder.mkdir(exist_ok=True)
    pages = {
        "verbs": verbs(),
        "configuration": configuration(),
        "disagreements": disagreements(root),
        "sample": sample(root),
        "measured": measured(root),
    }
    for name, lines in pages.items():
        (folder / f"{name}.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for path, name in ALSO.items():
        text = moved((root / path).read_text(encoding="utf-8"), root / path, folder, root)
        (folder / f"{name}.md").write_text(text, encoding="utf-8")


def moved(text: str, path: Path, folder: Path, root: Path) -> str:
    """The text of the document `path` for a page in `folder`: its relative links lead to the same files, or
    to the site's pages of them."""
    pages = {root / other: root / "docs/reference" / f"{name}.md" for other, name in ALSO.items()}
    sample = root / "docs/reference/sample.md"

    def link(match: re.Match[str]) -> str:
        file, mark, heading = match[1].partition("#")
        if ":" in file or not file:
            return match[0]
        target = (path.parent / file).resolve()
        if target.suffix == ".md" and target.is_relative_to(root / SAMPLE):
            return f"]({os.path.relpath(sample, folder)}"
        return f"]({os.path.relpath(pages.get(target, target), folder)}{mark}{heading}"

    return re.sub(r"\]\(([^)\s]+)", link, text)


def verbs() -> Iterator[str]:
    """The help of each verb, as `vidtune VERB --help` prints it."""
    os.environ["COLUMNS"] = "100"
    yield "# The verbs of vidtune\n\nWhat `vidtune <verb> --help` says. First those that people use."
    actions = make_parser()._subparsers._group_actions[0].choices
    for name in VERBS:
        yield f"\n## vidtune {name}\n\n```text\n{actions[name].format_help().rstrip()}\n```"


def configuration() -> Iterator[str]:
    """A table of keys for each file of the configuration and each part of it."""
    yield "# The files of the configuration\n"
    yield "Types and defaults, and what the code says of a key. [The folder](config-folder.md)"
    yield "tells what the files are for; `config/schema/` has the same as JSON schemas, for editors."
    told: set[type[BaseModel]] = set()
    for file, kinds in SPECS.items():
        yield f"\n## {file}"
        for kind in kinds:
            yield from _keys(kind, told)


def _keys(kind: type[BaseModel], told: set[type[BaseModel]]) -> Iterator[str]:
    """The keys of a spec, then those of the specs that it is made of, each spec once."""
    if kind in told:
        return
    told.add(kind)
    yield f"\n### {kind.__name__}\n\n{inspect.cleandoc(vars(kind).get('__doc__') or '')}\n"
    yield "| key | type | default | |\n|---|---|---|---|"
    notes = _comments(kind)
    for name, field in kind.model_fields.items():
        default = "required" if field.is_required() else _shown(field)
        cells = (f"`{name}`", f"`{_type(field.annotation)}`", default, notes.get(name, ""))
        yield "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"
    for part in _parts(kind):
        yield from _keys(part, told)


def _shown(field) -> str:
    made = field.default_factory() if field.default is PydanticUndefined else field.default
    return f"`{json.dumps(made, default=str)}`"


def _type(annotation) -> str:
    """A type as one writes it, without the checks that it carries."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(inner[0])
    if origin is Literal:
        return " | ".join(map(repr, inner))
    if origin in (Union, UnionType):
        return " | ".join(map(_type, inner))
    if origin:
        return f"{origin.__name__}[{', '.join('...' if t is ... else _type(t) for t in inner)}]"
    return "None" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _parts(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The specs that the keys of a spec hold."""

    def within(annotation) -> Iterator[type[BaseModel]]:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        for inner in getattr(annotation, "__args__", ()):
            yield from within(inner)

    for field in kind.model_fields.values():
        yield from within(field.annotation)


def _comments(kind: type[BaseModel]) -> dict[str, str]:
    """Key -> the comment beside it, or on the lines right above it."""
    source = inspect.getsource(kind)
    said = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    lines = source.splitlines()
    notes = {}
    for node in ast.parse(source).body[0].body:
        if not isinstance(node, ast.AnnAssign):
            continue
        above = node.lineno - 1
        while above in said and lines[above - 1].lstrip().startswith("#"):
            above -= 1
        beside = range(above + 1, node.end_lineno + 1)
        notes[node.target.id] = " ".join(said[n] for n in beside if n in said)
    return notes


def disagreements(root: Path) -> Iterator[str]:
    """Where each paper disagrees with itself, its code or a count, as the sample has it."""
    listed = json.loads((root / SAMPLE / "contradictions.json").read_text(encoding="utf-8"))
    plan = load(root / "config", {"results": str(root / "results")})
    yield "# Where papers and code disagree\n"
    yield "Declared in `config/papers`, with our numbers as the [sample](sample.md) has them. What the code"
    yield "offers both ways is an option of the method; the default is what produced the printed number."
    for paper, found in listed.items():
        cite = plan.config.papers[paper].cite
        yield f"\n## {cite.title}\n"
        yield "| where | says | against it | what is followed here |\n|---|---|---|---|"
        for one in found:
            cells = (one["where"], one["says"], one["against"], one.get("note") or "")
            yield "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"


def sample(root: Path) -> Iterator[str]:
    """The tables and pictures of a real run at mini scale."""
    about = json.loads((root / SAMPLE / "about.json").read_text(encoding="utf-8"))
    yield "# A sample of results\n"
    seeds, commits = (", ".join(map(str, about[key])) for key in ("seeds", "commits"))
    yield f"Scale mini, seeds {seeds}, on {about['machine']}, {about['date']}, commit {commits};"
    yield f"learned: {about['says']}."
    yield "The report has the same with verdicts, reasons and the origin of every cell."
    yield "\n## Figures"
    for picture in sorted((root / SAMPLE / "plots").glob("*.png")):
        yield f"\n### {picture.stem}\n\n![{picture.stem}](../../{SAMPLE}/plots/{picture.name})"
    yield "\n## Tables"
    for table in sorted((root / SAMPLE / "tables").glob("*.md")):
        yield f"\n{_one_deeper(table.read_text(encoding='utf-8'))}"


def measured(root: Path) -> Iterator[str]:
    """What was measured on GPUs, beside print and what was predicted: a step's memory, and speed."""
    plan = load(root / "config", {"results": str(root / "results")})
    printed = {
        (f"{paper.name}/{row}", metric): float(value) / (1024 if metric.endswith("_mb") else 1)
        for paper in plan.config.papers.values()
        for numbers in reversed(
            paper.numbers
        )  # where several tables print a number, the first stands
        for row, cells in numbers.rows.items()
        for metric, value in cells.items()
        if metric in ("train_gb", "train_gb_log", "train_mb")
    }
    in_print = {variant: value for (variant, _), value in printed.items()}
    yield "# Measured on a GPU\n"
    yield "Memory of a training step in GiB: of the method as released in use on the GPU (as nvidia-smi"
    yield "shows it), reserved and allocated by torch, and predicted; of our code allocated and predicted."
    yield "Speed of our code in videos a second. Weights and videos are random; files have the conditions."
    for folder in sorted((root / "results/reference").iterdir()):
        rows = {}
        for path in sorted(folder.glob("*/*.json")):
            rows[f"{path.parent.name}/{path.stem}"] = json.loads(path.read_text(encoding="utf-8"))
        if rows:
            yield from _measured_on(folder.name, rows, in_print)


READINGS = ("in use", "reserved", "allocated")


def _measured_on(gpu: str, rows: dict[str, dict], in_print: dict[str, float]) -> Iterator[str]:
    under = [row["conditions"] for row in rows.values()]
    yield f"\n## {under[0]['device']}\n"
    said = {
        f"driver {c['driver']}, torch {c['torch']}, {c['date']}, commit {c['commit']}, "
        f"{c['steps']} steps after {c['warmup']}"
        for c in under
    }
    yield f"{'; '.join(sorted(said))}; `results/reference/{gpu}`.\n"
    heads = ("variant", "batch", "precision", "print", *READINGS, "predicted", "ours", "predicted")
    heads += ("training, videos/s", "inference, videos/s")
    yield f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"
    apart = {reading: [] for reading in READINGS}
    for name, row in rows.items():
        if row["status"] != "ok":
            yield f"| {name} | {row['status']} |"
            continue
        known = row["released"]
        read = (in_use(row, "released"), known["peak_reserved_gib"], known["peak_allocated_gib"])
        if print_gib := in_print.get(name):
            for reading, value in zip(READINGS, read, strict=True):
                apart[reading].append(abs(value / print_gib - 1))
        told, c = row["predicted"], row["conditions"]
        numbers = (*read, told["released"], row["train"]["peak_allocated_gib"], told["train"])
        cells = [name, f"{c['batch']}", c["precision"], f"{print_gib:.1f}" if print_gib else ""]
        cells += [f"{value:.2f}" for value in numbers]
        cells += [f"{row[phase]['videos_per_s']:.0f}" for phase in ("train", "inference")]
        yield f"| {' | '.join(cells)} |"
    means = [f"{reading} {100 * fmean(values):.1f} %" for reading, values in apart.items()]
    yield f"\nMean distance of a reading from print, over {len(apart['in use'])} rows: {', '.join(means)}."


def _one_deeper(text: str) -> str:
    """Markdown with its headings two levels lower, outside of code."""
    return "\n".join(f"##{line}" if line.startswith("#") else line for line in text.splitlines())
