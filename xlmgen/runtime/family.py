"""The one object that a rendered family package exposes: `FAMILY`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """The parts of a family: all that the harness and the data module know of it.

    How each part is built and called:

    * `model(vocab_size, **sizes[size])` is an `nn.Module`.
    * `loss(tokens)` is called as `loss(model, batch)` and returns the tensors that
      `types_<name>.py` declares, `loss` (scalar) among them.
    * `predictor(tokens, **numbers)` has `generate(model, batch, generator=None,
      trace=False)` and returns a `xlmgen.runtime.sampling.Generation`.
    * `collators[use](tokens, block)` is called as `collator(examples, generator)`.
      Uses for training: `lm`, `seq2seq`, `infill`; for generation: `predict`,
      `predict_infill`, `unconditional`. A use that the family cannot serve is absent.
    * `metrics()` is a `torchmetrics.Metric`: `update(output)` with what the loss
      returned, `compute()` a dict of numbers.
    """

    name: str
    title: str
    model: type[nn.Module]
    sizes: Mapping[str, Mapping[str, Any]]
    loss: type
    predictor: type
    collators: Mapping[str, type]
    metrics: type
