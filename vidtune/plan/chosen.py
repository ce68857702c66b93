"""What was chosen otherwise than `config.yaml` has it, as commands say it again."""

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Any

from vidtune.plan.config import Config
from vidtune.spec import read_yaml

# Keys of config.yaml that arguments of verbs replace.
SELECTED = ("scale", "results", "papers", "data", "seeds")


def as_settings(config: Config, **always: str) -> str:
    """The settings for Snakemake, " --config key=value ...", with `always` even where it is declared so;
    "" for none."""
    given = always | {k: v for k, v in _chosen(config).items() if k not in always}
    parts = [
        f"{key}={value}" if isinstance(value, str) else f"{key}=[{','.join(map(str, value))}]"
        for key, value in given.items()
    ]
    return " ".join(["", "--config", *map(shlex.quote, parts)]) if parts else ""


def run_all(config: Config) -> str:
    """The command that runs the whole scale of a configuration."""
    return f"snakemake --cores all{as_settings(config, scale=config.settings.scale)}"


def as_arguments(config: Config, keys: Collection[str] = SELECTED) -> str:
    """The arguments of a verb, " --key value ...", for what it heeds; "" for none."""
    out = "" if config.folder == "config" else f" --config {shlex.quote(config.folder)}"
    for key, value in ((k, v) for k, v in _chosen(config).items() if k in keys):
        values = [value] if isinstance(value, str) else map(str, value)
        out += f" --{key} {shlex.join(values)}"
    return out


def _chosen(config: Config) -> dict[str, Any]:
    declared = read_yaml(Path(config.folder) / "config.yaml")
    used = {key: getattr(config.settings, key) for key in SELECTED}
    used = {k: list(v) if isinstance(v, tuple) else v for k, v in used.items()}
    return {k: v for k, v in used.items() if v is not None and v != declared.get(k)}
