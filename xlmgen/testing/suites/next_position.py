"""Tests of causal networks that take the position of the token to predict."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xlmgen.runtime.nn import AbsolutePositions
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.causal_model import (
    IDS,
    LEFT_PADDED,
    LENGTH,
    PROMPT,
    new_cache,
)
from xlmgen.testing.suites.model import call, differ
from xlmgen.testing.toy import seeded

ORDER = torch.randperm(LENGTH + 1, generator=seeded(3)).expand(len(IDS), -1)
"""Positions of the tokens of every row and of the one after, in no simple order."""


class NextPositionTests(FamilyTests):
    """Tokens in any order, each with its position and the next one."""

    def test_order_from_left_to_right_is_the_default(self) -> None:
        model = self.network()
        places = torch.arange(LENGTH + 1).expand(len(IDS), -1)
        torch.testing.assert_close(logits(model, IDS, places), call(model, IDS))

    def test_next_position_affects_logits_from_its_token_on(self) -> None:
        model = self.network()
        before = logits(model, IDS, ORDER)
        for column in range(LENGTH):
            following = ORDER[:, 1:].clone()
            following[:, column] += 3
            after = logits(model, IDS, ORDER, following)
            torch.testing.assert_close(after[:, :column], before[:, :column])
            assert (after - before)[:, column].abs().amax(-1).min() > 1e-6

    def test_next_position_of_first_token_affects_logits(self) -> None:
        """Nothing but the first token is seen, so rotations have no effect."""
        model, first = self.network(), IDS[:, :1]
        places = ORDER[:, :2]
        assert differ(
            logits(model, first, places),
            logits(model, first, places, places[:, 1:] + 1),
        )

    def test_attention_depends_on_next_position(self) -> None:
        """Also without its embedding, where tokens that differ are seen."""
        model = self.network()
        for module in model.modules():
            if isinstance(module, AbsolutePositions):
                nn.init.zeros_(module.projection.weight)
        own, following = ORDER[:, :-1], ORDER[:, 1:]
        before = logits(model, IDS, own, following)
        after = logits(model, IDS, own, following + 3)
        assert (after - before)[:, 2:].abs().amax(-1).min() > 1e-6

    def test_order_of_seen_tokens_has_no_effect_on_one_block(self) -> None:
        """Attention knows positions and no columns."""
        model = self.network(layers=1)
        moved = torch.randperm(LENGTH - 1, generator=seeded(4))
        columns = torch.cat((moved, torch.tensor([LENGTH - 1])))
        own, following = ORDER[:, :-1], ORDER[:, 1:]
        before = logits(model, IDS, own, following)
        after = logits(model, IDS[:, columns], own[:, columns], following[:, columns])
        torch.testing.assert_close(after[:, -1], before[:, -1])

    def test_own_position_affects_later_logits(self) -> None:
        model = self.network()
        own = ORDER[:, :-1].clone()
        own[:, 1] += 4
        # the same distance to the next position, so that only rotations differ
        following = ORDER[:, 1:].clone()
        following[:, 1] += 4
        before = logits(model, IDS, ORDER)
        assert differ(logits(model, IDS, own, following)[:, 2:], before[:, 2:])

    def test_cache_in_any_order_equals_full_pass(self) -> None:
        model, attended = self.network(), LEFT_PADDED
        own, following = ORDER[:, :-1], ORDER[:, 1:]
        with torch.no_grad():
            full = logits(model, IDS, own, following, attended)
            cache, parts = new_cache(model, *IDS.shape), []
            for start, end in [
                (0, PROMPT),
                *((n, n + 1) for n in range(PROMPT, LENGTH)),
            ]:
                part = call(
                    model,
                    IDS[:, start:end],
                    attended[:, :end],
                    position_ids=own[:, start:end],
                    next_position_ids=following[:, start:end],
                    cache=cache,
                )
                parts.append(part)
        cached = torch.cat(parts, dim=1)
        torch.testing.assert_close(cached[attended], full[attended])


def logits(
    model: nn.Module,
    ids: Tensor,
    places: Tensor,
    following: Tensor | None = None,
    attended: Tensor | None = None,
) -> Tensor:
    """Compute logits (B, L, V) of tokens at positions.

    Args:
        places: (B, L) position of each token, or (B, L + 1) with that of one more.
        following: (B, L) the next position of each; None takes that of the next token.
    """
    length = ids.shape[1]
    return call(
        model,
        ids,
        attended,
        position_ids=places[:, :length],
        next_position_ids=places[:, 1:] if following is None else following,
    )
