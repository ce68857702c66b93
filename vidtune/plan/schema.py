"""JSON schemas of the config files, generated from the specs (editors and tests read them)."""

from typing import Any

from pydantic import TypeAdapter

from vidtune.plan.config import Settings
from vidtune.plan.scale import Scale
from vidtune.spec import Backbone, Dataset, Expected, Frozen, GeneratedSet, Metric, Paper, Recipe
from vidtune.spec.table import Tables


def schemas() -> dict[str, dict[str, Any]]:
    """File stem -> schema. Names come from keys, so `name` is not asked for in an entry."""

    def entries(kind: type[Frozen]) -> dict[str, Any]:
        schema = TypeAdapter(dict[str, kind]).json_schema()
        return _writable(schema, kind.__name__)

    return {
        "config": Settings.model_json_schema(),
        "backbones": entries(Backbone),
        "datasets": _sections(generated=entries(GeneratedSet), datasets=entries(Dataset)),
        "recipes": entries(Recipe),
        "metrics": entries(Metric),
        "scales": entries(Scale),
        "expected": entries(Expected),
        "paper": _writable(Paper.model_json_schema(), "Paper", "Variant"),
        "tables": Tables.model_json_schema(),
    }


def _sections(**parts: dict[str, Any]) -> dict[str, Any]:
    """The schema of a file whose top-level keys each have a schema of their own."""
    shared = {}
    for part in parts.values():
        shared |= part.pop("$defs", {})
    properties = {"properties": parts, "required": list(parts), "additionalProperties": False}
    return {"type": "object", **properties, "$defs": shared}


def _writable(schema: dict[str, Any], *kinds: str) -> dict[str, Any]:
    """The schema of what one writes: no `name`, and `base` (variants: `each`) allowed."""
    for kind in kinds:
        target = schema.get("$defs", {}).get(kind, schema)
        target.get("properties", {}).pop("name", None)
        target["required"] = [k for k in target.get("required", []) if k != "name"]
        if kind in ("Variant", "Recipe", "Backbone", "Dataset", "GeneratedSet", "Scale"):
            target["properties"]["base"] = {"type": "string"}
            target["required"] = []
        if kind == "Variant":
            target["properties"]["each"] = {"type": "object"}
            target["properties"]["options"].pop("default", None)
    return schema
