"""What identifies a row: method, backbone, views, the options that matter, and what a scale
makes of them."""

from typing import Any

from vidtune.plan import Plan, options_class
from vidtune.spec import Model


def heads(plan: Plan, dataset: bool) -> tuple[str, ...]:
    """Headings of `facts`; the dataset is named where a table holds several."""
    shown = ("Dataset",) if dataset else ()
    return (
        "Method",
        "Backbone",
        *shown,
        "Frames",
        "Options",
        f"At scale {plan.scale.name}",
    )


def facts(plan: Plan, name: str, dataset: bool) -> tuple[str, ...]:
    """Of a variant or, mostly empty, of a cited system."""
    if name not in plan.variants:
        return ("cited", *[""] * (4 + dataset))
    variant, model = plan.variants[name], plan.models[name]
    run = next((r.model for r in plan.runs.values() if r.model.name == name), None)
    shown = (variant.dataset,) if dataset else ()
    return (
        model.method,
        model.backbone.name,
        *shown,
        f"{model.frames}" if model.views == "1x1" else f"{model.frames}, {model.views} views",
        "; ".join(f"{k} = {value(v)}" for k, v in changed(model).items()),
        _mapped(model, run) if run else "not trained",
    )


def changed(model: Model) -> dict[str, Any]:
    """Options that differ from the method's defaults."""
    defaults = options_class(model.method).model_construct().model_dump(mode="json")
    return {k: v for k, v in model.options.items() if k not in defaults or defaults[k] != v}


def value(v: Any) -> str:
    """An option's value as YAML would have it."""
    if isinstance(v, bool):
        return str(v).lower()
    if isinstance(v, list):
        return f"[{', '.join(value(x) for x in v)}]"
    return "none" if v is None else str(v)


def _mapped(declared: Model, here: Model) -> str:
    """The options that this scale changes, as "layers 12 → 6; width 320 → 24"."""
    steps = [
        f"{k} {value(v)} → {value(here.options[k])}"
        for k, v in declared.options.items()
        if here.options[k] != v
    ]
    return "; ".join(steps) or "same options"
