"""Where every hyper-parameter of a variant comes from: file, line and the comment there.

A declared value comes from the variant or from the entry that it builds on. An option that no entry
gives comes from its method's default. A field of a recipe or backbone comes from the entry that sets
it, with the paper's section and the official file that the entry names as its source.
"""

import ast
import inspect
import re
from fnmatch import fnmatch
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from vidtune.plan.inherit import bases, resolve_base
from vidtune.plan.plan import Plan
from vidtune.plan.registry import METHODS, marks, options_class
from vidtune.spec import Dataset, Frozen, Variant, read_yaml
from vidtune.spec.dataset import PROSE
from vidtune.spec.yaml_files import Place, places

RULES = {
    "depth": "by share of the trunk's layers",
    "layers": "by share of the trunk's layers",
    "width": "by the ratio of the trunks' widths",
    "tokens": "by share of a frame's patches",
    "joins": "by the scale's share of the frames",
}


class Origin(Frozen):
    """One value and its origin."""

    part: str  # variant, options, recipe, backbone, dataset, scale, scale's recipe
    field: str
    value: Any
    of: str  # who gives it: "variant", "base b16", "default"
    where: str  # path:line
    says: str  # the comment on that line
    source: str = ""  # of its entry


def origins(plan: Plan, name: str) -> list[Origin]:
    """The values of a variant as declared, at its declared size."""
    v, c, folder = plan.variants[name], plan.config, Path(plan.config.folder)
    return [
        *_variant(plan, v),
        *_entry("recipe", c.recipes[v.recipe], folder / "recipes.yaml"),
        *_entry("backbone", c.backbones[v.backbone], folder / "backbones.yaml"),
        *_entry("dataset", c.datasets[v.dataset], folder / "datasets.yaml", ("datasets",)),
    ]


def at_scale(plan: Plan, name: str) -> list[Origin]:
    """The values that the plan's scale puts in the place of declared ones."""
    run = next((r for r in plan.runs.values() if r.model.name == name), None)
    if run is None:
        return []
    v, model, scale = plan.variants[name], plan.models[name], plan.scale
    path = Path(plan.config.folder) / "scales.yaml"
    known, chain = places(path), bases(path, "scales", read_yaml(path), scale.name)
    swaps = {
        "backbone": (scale.backbones, v.backbone, v.backbone, run.model.backbone.name),
        "dataset": (scale.datasets, f"{model.task}/{v.dataset}", v.dataset, run.dataset.name),
        "recipe": (scale.recipes, f"{model.task}/{v.recipe}", v.recipe, run.recipe.name),
    }
    out = []
    for field, (table, asked, declared, used) in swaps.items():
        names = (asked, v.name) if field == "recipe" else (asked,)
        if pattern := next((p for p in table if any(fnmatch(n, p) for n in names)), None):
            of, place = _given_by(known, chain, f"{field}s", pattern)
            out.append(_origin("scale", field, used, of, place, f"in place of {declared}"))
    if run.model.frames != model.frames:
        of, place = _given_by(known, chain, "frames")
        says = f"in place of {model.frames}"
        out.append(_origin("scale", "frames", run.model.frames, of, place, says))
    rules = marks(options_class(v.method))
    defaults = field_places(options_class(v.method))
    for field, value in run.model.options.items():
        if value != model.options[field]:
            says = f"in place of {model.options[field]}, {RULES[rules[field]]}"
            out.append(_origin("scale", field, value, "mapped", defaults[field], says))
    if run.recipe.name != v.recipe:
        recipes = Path(plan.config.folder) / "recipes.yaml"
        out += _entry("scale's recipe", plan.config.recipes[run.recipe.name], recipes)
    return out


def method_source(method: str) -> str:
    """The first line of a method's docstring, and what it was checked against."""
    path = METHODS / method / "__init__.py"
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    lines = (text or "").splitlines()
    checked = re.search(r"Checked against (.+?)(?:\.\s|\.$|\n\n|$)", text or "", re.DOTALL)
    suffix = f"; checked against {' '.join(checked[1].split())}" if checked else ""
    return lines[0].rstrip(".") + suffix if lines else ""


def _given_by(
    known: dict[tuple[str | int, ...], Place], chain: list[str], *keys: str
) -> tuple[str, Place]:
    """(who, where) of the first scale of a chain that gives a value."""
    entry = next(entry for entry in chain if (entry, *keys) in known)
    return f"scale {entry}", known[entry, *keys]


def _variant(plan: Plan, v: Variant) -> list[Origin]:
    """Origins of the variant's own fields, then of its options."""
    paper, key = v.name.split("/")
    path = Path(plan.config.folder) / "papers" / f"{paper}.yaml"
    declared = read_yaml(path)["variants"]
    template = next(t for t in declared if _expands(declared[t], t, key))
    chain = bases(path, "variants", declared, template)
    out = []
    fields = ["method", "backbone", "dataset", "frames", "views", "recipe", "train_share"]
    for field in fields if v.tested is None else [*fields, "tested"]:
        of, place = _giver(path, chain, (field,)) or ("default", field_places(Variant)[field])
        says = method_source(v.method) if field == "method" else place.says
        out.append(_origin("variant", field, getattr(v, field), of, place, says))
    # options are inherited as far as the method stays the same
    methods = {e: resolve_base(path, "variants", declared, e).get("method") for e in chain}
    sharing = [*takewhile(lambda entry: methods[entry] == methods[chain[0]], chain)]
    defaults = field_places(options_class(v.method))
    for field, value in plan.models[v.name].options.items():
        given = _giver(path, sharing, ("options", field))
        of, place = given or ("default", defaults[field])
        says = place.says or defaults[field].says
        out.append(_origin("options", field, value, of, place, says))
    return out


def _expands(fields: dict[str, Any], template: str, key: str) -> bool:
    """Whether a template stands for this variant, by its name or with `each`."""
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(template))
    match = re.fullmatch(pattern, key)
    each = fields.get("each", {})
    return bool(match) and all(match[k] in map(str, values) for k, values in each.items())


def _giver(path: Path, chain: list[str], keys: tuple[str, ...]) -> tuple[str, Place] | None:
    """(who, where) of the first entry of a chain that gives a value; None: no entry does."""
    known = places(path)
    for entry in chain:
        for given in (keys, ("each", keys[-1])):
            if place := known.get(("variants", entry, *given)):
                return ("variant" if entry == chain[0] else f"base {entry}"), place
    return None


def _entry(part: str, spec: Frozen, path: Path, keys: tuple[str, ...] = ()) -> list[Origin]:
    """Origins of every field of a config file's entry; unset ones have the class's default."""
    known, declared = places(path), read_yaml(path)
    for key in keys:
        declared = declared[key]
    chain = bases(path, part, declared, spec.name)
    left_out = ("name", "source", *(PROSE if isinstance(spec, Dataset) else ()))
    out = []
    for field in [field for field in type(spec).model_fields if field not in left_out]:
        of, place, source = "default", field_places(type(spec))[field], ""
        if entry := next((e for e in chain if (*keys, e, field) in known), None):
            of, place = f"{type(spec).__name__.lower()} {entry}", known[*keys, entry, field]
            source = declared[entry].get("source") or ""
        out.append(_origin(part, field, getattr(spec, field), of, place, place.says, source))
    return out


def _origin(
    part: str, field: str, value: Any, of: str, place: Place, says: str, source: str = ""
) -> Origin:
    value, where = to_jsonable_python(value), place.where
    return Origin(part=part, field=field, value=value, of=of, where=where, says=says, source=source)


@cache
def field_places(cls: type) -> dict[str, Place]:
    """Field -> where the class declares it, with the comments above and after it."""
    path = Path(inspect.getfile(cls)).relative_to(METHODS.parents[1])
    lines, first = inspect.getsourcelines(cls)
    out = {}
    for node in ast.parse("".join(lines)).body[0].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            before = reversed(lines[: node.lineno - 1])
            above = [*takewhile(lambda line: line.strip().startswith("#"), before)]
            after = lines[node.end_lineno - 1].encode()[node.end_col_offset :].decode()
            comment = " ".join(line.strip().lstrip("# ") for line in [*reversed(above), after])
            where = f"{path}:{first + node.lineno - 1}"
            out[node.target.id] = Place(where, comment.strip())
    return out
