"""The nouns of the project, frozen and strict. Imports nothing of the package and no torch."""

from vidtune.spec.nouns import (
    SPLITS,
    Backbone,
    Costing,
    Dataset,
    Files,
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
from vidtune.spec.paper import Citation, Claim, ClaimTest, Numbers, Paper, Table, Variant
from vidtune.spec.read import UserError, load_json, parse, read_yaml, write_json, write_text

__all__ = [
    "SPLITS",
    "Backbone",
    "Citation",
    "Claim",
    "ClaimTest",
    "Costing",
    "Dataset",
    "Depth",
    "Files",
    "Layers",
    "Metric",
    "Model",
    "Numbers",
    "Options",
    "Paper",
    "Premise",
    "Pretraining",
    "Recipe",
    "Run",
    "Table",
    "TextTower",
    "Tokens",
    "UserError",
    "Variant",
    "Weights",
    "Width",
    "load_json",
    "parse",
    "read_yaml",
    "write_json",
    "write_text",
]
