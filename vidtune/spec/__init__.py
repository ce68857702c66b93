"""The nouns of the project, frozen and strict. Imports nothing of the package and no torch."""

from vidtune.spec.base import SPLITS
from vidtune.spec.dataset import Annotations, Dataset, Resized
from vidtune.spec.nouns import (
    Backbone,
    Costing,
    GeneratedSet,
    Metric,
    Model,
    Premise,
    Pretraining,
    Recipe,
    Run,
    TextTower,
    Weights,
)
from vidtune.spec.options import Depth, Layers, Options, Tokens, Width
from vidtune.spec.paper import (
    Citation,
    Cited,
    Claim,
    ClaimTest,
    Conditions,
    Contradiction,
    Numbers,
    Paper,
    Table,
    Variant,
)
from vidtune.spec.read import UserError, load_json, parse, read_yaml, write_json, write_text
from vidtune.spec.source import Source, is_safe

__all__ = [
    "SPLITS",
    "Annotations",
    "Backbone",
    "Citation",
    "Cited",
    "Claim",
    "ClaimTest",
    "Conditions",
    "Contradiction",
    "Costing",
    "Dataset",
    "Depth",
    "GeneratedSet",
    "Layers",
    "Metric",
    "Model",
    "Numbers",
    "Options",
    "Paper",
    "Premise",
    "Pretraining",
    "Recipe",
    "Resized",
    "Run",
    "Source",
    "Table",
    "TextTower",
    "Tokens",
    "UserError",
    "Variant",
    "Weights",
    "Width",
    "is_safe",
    "load_json",
    "parse",
    "read_yaml",
    "write_json",
    "write_text",
]
