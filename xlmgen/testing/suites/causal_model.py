"""Tests of causal networks: no look-ahead, and a correct key–value cache."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xlmgen.runtime.nn import KeyValueCache
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.model import call, differ

PROMPT, LENGTH = 4, 7
IDS = torch.tensor(
    [[5, 6, 7, 5, 5, 6, 7], [7, 7, 5, 6, 5, 7, 6], [6, 5, 5, 5, 7, 6, 6]]
)
LEFT_PADDED = torch.arange(LENGTH) >= torch.tensor([0, 1, 3])[:, None]


class CausalModelTests(FamilyTests):
    """Later tokens have no effect on earlier ones; a cache changes nothing."""

    def test_later_tokens_do_not_affect_earlier_logits(self) -> None:
        model = self.network()
        before = call(model, IDS)
        for position in range(LENGTH):
            changed = IDS.clone()
            changed[:, position] = self.tokens.eos
            after = call(model, changed)
            torch.testing.assert_close(after[:, :position], before[:, :position])
            assert differ(after[:, position:], before[:, position:])

    def test_earlier_tokens_affect_all_later_logits(self) -> None:
        model = self.network()
        before = call(model, IDS)
        changed = IDS.clone()
        changed[:, 0] = self.tokens.eos
        moved = (call(model, changed) - before).abs().amax(-1)
        assert (moved > 1e-6).all()

    def test_left_pads_have_no_effect(self) -> None:
        model, attended = self.network(), LEFT_PADDED
        padded = call(model, IDS.masked_fill(~attended, self.tokens.pad), attended)
        assert padded.isfinite().all()
        for row, keep in enumerate(attended):
            alone = call(model, IDS[row : row + 1, keep])
            torch.testing.assert_close(padded[row : row + 1, keep], alone)

    def test_logits_with_cache_equal_full_pass(self) -> None:
        model = self.network()
        with torch.no_grad():
            full = call(model, IDS)
            torch.testing.assert_close(decode(model, IDS, None), full)

    def test_logits_with_cache_and_left_pads_equal_full_pass(self) -> None:
        model, attended = self.network(), LEFT_PADDED
        ids = IDS.masked_fill(~attended, self.tokens.pad)
        with torch.no_grad():
            full = call(model, ids, attended)
            cached = decode(model, ids, attended)
        torch.testing.assert_close(cached[attended], full[attended])

    def test_cache_accepts_several_tokens_at_once(self) -> None:
        model, attended = self.network(), LEFT_PADDED
        with torch.no_grad():
            full = call(model, IDS, attended)
            cache = new_cache(model, len(IDS), LENGTH)
            call(model, IDS[:, :3], attended[:, :3], cache=cache)
            rest = call(model, IDS[:, 3:], attended, cache=cache)
        torch.testing.assert_close(rest[attended[:, 3:]], full[:, 3:][attended[:, 3:]])

    def test_removed_rows_do_not_affect_cache(self) -> None:
        model, attended = self.network(), LEFT_PADDED
        stay = torch.tensor([0, 2])
        with torch.no_grad():
            full = call(model, IDS, attended)[stay]
            cache = new_cache(model, len(IDS), LENGTH)
            call(model, IDS[:, :PROMPT], attended[:, :PROMPT], cache=cache)
            cache.keep(stay)
            for position in range(PROMPT, LENGTH):
                token = IDS[stay, position : position + 1]
                seen = attended[stay, : position + 1]
                logits = call(model, token, seen, cache=cache)
                torch.testing.assert_close(logits[:, 0], full[:, position])


def decode(model: nn.Module, ids: Tensor, attended: Tensor | None) -> Tensor:
    """Compute logits (B, L, V) in one pass for a prompt, then token by token."""

    def seen(end: int) -> Tensor | None:
        return None if attended is None else attended[:, :end]

    cache = new_cache(model, *ids.shape)
    logits = [call(model, ids[:, :PROMPT], seen(PROMPT), cache=cache)]
    for end in range(PROMPT + 1, ids.shape[1] + 1):
        logits.append(call(model, ids[:, end - 1 : end], seen(end), cache=cache))
    return torch.cat(logits, dim=1)


def new_cache(model: nn.Module, rows: int, length: int) -> KeyValueCache:
    """Make an empty cache of the model."""
    make: Any = model.new_cache
    cache: KeyValueCache = make(rows, length)
    return cache
