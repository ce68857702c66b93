"""YAML -> Plan: everything that will be built, trained, counted and shown. No torch."""

from vidtune.plan.config import Config, read_config, read_paper
from vidtune.plan.plan import Plan, load
from vidtune.plan.registry import method_names, options_class, resolve
from vidtune.plan.scale import Scale
from vidtune.plan.schema import schemas
