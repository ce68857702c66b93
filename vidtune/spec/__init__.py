"""The specs of the project, frozen and strict. Imports nothing of the package and no torch."""

from vidtune.spec.address import is_safe, shown
from vidtune.spec.backbone import Backbone, TextTower, Weights
from vidtune.spec.dataset import Annotations, Dataset, GeneratedSet, Resized, Stills
from vidtune.spec.errors import Lost, NotMet, Stopped, UserError, unknown
from vidtune.spec.expected import Expected
from vidtune.spec.figure import Figure
from vidtune.spec.frozen import SPLITS, Attention, Count, Frozen, Precision
from vidtune.spec.json_files import json_lines, load_json, parse_json
from vidtune.spec.method_options import Depth, Joins, Layers, Options, Tokens, Width
from vidtune.spec.paper import Assumed, ClaimTest, Contradiction, Fit, Numbers, Paper, Variant, slug
from vidtune.spec.read import parse, write_json, write_text
from vidtune.spec.recipe import Recipe, Selection
from vidtune.spec.regular_files import read_bytes, read_text
from vidtune.spec.run import (
    Costing,
    Model,
    Predicting,
    Prediction,
    Premise,
    Pretraining,
    Probe,
    Run,
    Workload,
)
from vidtune.spec.size import GIB, parse_gpus, parse_size
from vidtune.spec.source import Source
from vidtune.spec.table import Kind, Metric, Table
from vidtune.spec.yaml_files import read_yaml
