"""Which models' memory is predicted, and under which convention (`config/memory.yaml`)."""

from typing import Literal

from vidtune.spec.nouns import Count, Frozen, Model

Precision = Literal["amp16", "fp32", "fp16"]
Attention = Literal["explicit", "fused", "memory-efficient"]


class Fit(Frozen):
    """A line from predicted GiB to printed GB, through printed rows: it explains nothing."""

    slope: float  # GB per GiB
    offset: float  # GB
    rows: tuple[str, ...]  # "<paper>/<variant>", which it was fitted on


class Convention(Frozen):
    """How some rows of a paper were trained, as far as it decides their memory."""

    batch: Count  # videos of one device
    precision: Precision
    attention: Attention
    fit: str | None = None
    source: str
    rows: tuple[str, ...]  # variants


class Memory(Frozen):
    fits: dict[str, Fit]
    predictions: dict[str, tuple[Convention, ...]]  # by paper


class Prediction(Frozen):
    model: Model
    where: tuple[str, ...]  # tables that print its memory
    batch: Count
    precision: Precision
    attention: Attention
    fit: Fit | None


class Predicting(Frozen):
    """The job that predicts the memory of a paper's rows at their declared size."""

    paper: str
    rows: tuple[Prediction, ...]
