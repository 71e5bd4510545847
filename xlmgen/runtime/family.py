"""The `Family` object, which a rendered package exposes as `FAMILY`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """The parts of a family; the harness and the data module use nothing else of it.

    Construction and calls of each part:

    * `model(vocab_size, **sizes[size])` is an `nn.Module`.
    * `loss(tokens)` is called as `loss(model, batch)` and returns the tensors that
      `types_<name>.py` declares, `loss` (scalar) among them.
    * `predictor(tokens, **numbers)` has `generate(model, batch, generator=None,
      trace=False)` and returns a `xlmgen.runtime.generation.Generation`.
    * `collators[use](tokens, max_length)` is called as `collator(examples, generator)`.
      Uses for training: `lm`, `seq2seq`, `infill`; for generation: `predict`,
      `predict_infill`, `unconditional`. Uses that the family lacks are absent.
    * `metrics()` is a `torchmetrics.Metric`: `update(output)` takes the output of the
      loss, and `compute()` returns a dict of numbers.
    """

    name: str
    title: str
    model: type[nn.Module]
    sizes: Mapping[str, Mapping[str, Any]]
    loss: type
    predictor: type
    collators: Mapping[str, type]
    metrics: type
