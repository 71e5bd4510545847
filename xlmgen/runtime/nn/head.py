"""Output layers, and what a loss or a predictor may expect of a network."""

from typing import Any, Protocol

from torch import nn


class Head(nn.Linear):
    """A linear output layer, such as that of the logits of all tokens.

    `initialise` draws its weights so that the first logits are near uniform.
    """


class LanguageModel(Protocol):
    """A network that returns hidden states, and the layer that makes them logits.

    `model(input_ids, attention_mask, positions=…)` returns hidden states (N, D) at the
    flat `positions` (N,), (B, L, D) without them; then what further heads return.
    `model.head(hidden)` are logits (…, V). A loss hands both to `linear_cross_entropy`,
    which never holds all logits.
    """

    @property
    def head(self) -> nn.Linear: ...

    def __call__(self, *inputs: Any, **options: Any) -> Any: ...
