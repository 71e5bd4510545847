"""Networks that return the true conditionals of a hidden Markov model.

They have the interface of a family's network, so that a rendered predictor runs with
them. What is then wrong with its samples is the predictor's own error, at the lengths
that it is used at (Tang et al. 2026, arXiv:2602.19619).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from xlmgen.testing.blocks import BlockCache
from xlmgen.testing.markov import UNKNOWN, HiddenMarkov
from xlmgen.testing.oracle import IMPOSSIBLE, identity_head


class MarkovOracle(nn.Module):
    """p(x_i = v | the visible tokens) at every position, for bidirectional families.

    Shapes: B rows, L positions, V ids, K tokens of the model.

    Args:
        model: the distribution of the rows.
        first: id of the model's token 0; the others follow it.
        vocab_size: V. All ids but the model's tokens have probability 0.
        alpha: probability at time t that a visible token was not replaced by a
            uniformly drawn one, (B,) → (B,). None if visible tokens are clean. The
            network returns the distribution of the clean token, given all others.
    """

    def __init__(
        self,
        model: HiddenMarkov,
        *,
        first: int,
        vocab_size: int,
        alpha: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.first, self.alpha = model, first, alpha
        self.vocab_size = vocab_size
        self.head = identity_head(vocab_size)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        t: Tensor | None = None,
    ) -> Tensor:
        kept = None if self.alpha is None or t is None else self.alpha(t)
        ids = self.known(input_ids)
        if positions is not None:
            return self.logits(self.model.conditionals_at(ids, positions, kept))
        return self.logits(self.model.conditionals(ids, kept))

    def known(self, ids: Tensor) -> Tensor:
        """Tokens of the model (B, L); `UNKNOWN` for any other id."""
        tokens = ids - self.first
        inside = (tokens >= 0) & (tokens < self.model.emission.shape[1])
        return torch.where(inside, tokens, UNKNOWN)

    def logits(self, probs: Tensor, positions: Tensor | None = None) -> Tensor:
        """Convert probabilities (B, L, K) to float32 logits over all ids."""
        if positions is not None:
            probs = probs.flatten(0, 1)[positions]
        full = torch.full((*probs.shape[:-1], self.vocab_size), IMPOSSIBLE)
        stop = self.first + probs.shape[-1]
        full[..., self.first : stop] = probs.log().clamp(min=IMPOSSIBLE).float()
        return full


class BlockMarkovOracle(MarkovOracle):
    """p(x_i = v | earlier blocks, the visible tokens of its own), with a cache.

    Ids that are not the model's, such as BOS, may stand before the first token only.
    """

    def new_cache(self, batch_size: int, max_length: int) -> BlockCache:
        return BlockCache(torch.empty(batch_size, 0, dtype=torch.int64))

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor,
        t: Tensor | None = None,
        cache: BlockCache,
    ) -> Tensor:
        cache.written = input_ids
        if not len(positions):
            return torch.empty(0, self.vocab_size)
        before = self.known(cache.ids)
        before = before[:, (before != UNKNOWN).any(0)]  # without the context
        ids = torch.cat((before, self.known(input_ids)), dim=1)
        # Later tokens are unknown: their sum is 1.
        probs = replace(self.model, length=ids.shape[1]).conditionals(ids)
        return self.logits(probs[:, before.shape[1] :], positions)


@dataclass
class Belief:
    """Cache of the causal oracle: the distribution of the next state, (B, H)."""

    probs: Tensor

    def keep(self, rows: Tensor) -> None:
        self.probs = self.probs[rows]


class CausalMarkovOracle(MarkovOracle):
    """p(x_{i+1} = v | x_1 … x_i), with a cache.

    Ids that are not the model's, such as BOS, may stand before the first token only.
    """

    def new_cache(self, batch_size: int, max_length: int) -> Belief:
        return Belief(self.model.initial.expand(batch_size, -1))

    def forward(  # type: ignore[override]
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        positions: Tensor | None = None,
        cache: Belief,
    ) -> Tensor:
        emission, following = self.model.emission, []
        for token in self.known(input_ids).T:
            seen = cache.probs * emission.T[token.clamp(min=0)]
            moved = (seen / seen.sum(1, keepdim=True)) @ self.model.transition
            cache.probs = torch.where((token == UNKNOWN)[:, None], cache.probs, moved)
            following.append(cache.probs @ emission)
        return self.logits(torch.stack(following, dim=1), positions)
