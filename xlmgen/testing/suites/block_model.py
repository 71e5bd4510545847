"""Tests of networks that attend to their own block and to earlier clean blocks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.blocks import SIZES, BlockSubject
from xlmgen.testing.suites.model import call, differ, takes_time
from xlmgen.testing.toy import seeded

ROWS, CONTEXT, ANSWER = 3, 3, 5
CLEAN = torch.randint(5, 8, (ROWS, CONTEXT + ANSWER), generator=seeded(1))
NOISY = CLEAN[:, CONTEXT:].masked_fill(
    torch.rand(ROWS, ANSWER, generator=seeded(2)) < 0.5, 3
)
LEFT_PADDED = torch.arange(CONTEXT + ANSWER) >= torch.tensor([0, 1, 2])[:, None]


class BlockModelTests(BlockSubject):
    """A pass over all blocks equals one pass per block; later blocks have no effect."""

    @pytest.mark.parametrize("attended", [None, LEFT_PADDED])
    @pytest.mark.parametrize("size", SIZES)
    def test_one_pass_equals_passes_per_block_with_cache(
        self, size: int, attended: Tensor | None
    ) -> None:
        model = self.network()
        times = torch.rand(ROWS, -(-ANSWER // size), generator=seeded(3))
        together = at_once(model, NOISY, CLEAN, size, attended, times)
        apart = one_by_one(model, size, attended, times)
        assert close(together, apart)

    @pytest.mark.parametrize("size", SIZES)
    def test_block_depends_on_earlier_clean_blocks_only(self, size: int) -> None:
        """All earlier blocks do; its clean copy or later blocks would be a leak."""
        model = self.network()
        before = at_once(model, NOISY, CLEAN, size)
        number = torch.arange(ANSWER) // size
        for column in range(CONTEXT + ANSWER):
            clean = changed(CLEAN, column)
            moved = (at_once(model, NOISY, clean, size) - before).abs().amax((0, 2))
            own = max(-1, (column - CONTEXT) // size)
            assert (moved[number > own] > 1e-6).all(), column
            assert (moved[number <= own] < 1e-6).all(), column

    @pytest.mark.parametrize("size", SIZES)
    def test_noisy_block_affects_itself_only(self, size: int) -> None:
        model = self.network()
        before = at_once(model, NOISY, CLEAN, size)
        number = torch.arange(ANSWER) // size
        for column in range(ANSWER):
            noisy = changed(NOISY, column)
            moved = (at_once(model, noisy, CLEAN, size) - before).abs().amax((0, 2))
            assert (moved[number == number[column]] > 1e-6).all(), column
            assert (moved[number != number[column]] < 1e-6).all(), column

    def test_single_block_without_context_is_bidirectional(self) -> None:
        """This is the limit of masked diffusion."""
        model, clean = self.network(), CLEAN[:, CONTEXT:]
        plain = call(model, NOISY, t=torch.full((ROWS,), 0.5))
        for size in (ANSWER, ANSWER + 2):
            times = torch.full((ROWS, 1), 0.5)
            assert close(at_once(model, NOISY, clean, size, times=times), plain)

    def test_pads_have_no_effect(self) -> None:
        """Neither on the left of a context nor in blocks that a row does not have."""
        model, size = self.network(), 2
        alone = at_once(model, NOISY[:, :2], CLEAN[:, : CONTEXT + 2], size)
        wide = torch.cat((torch.full((ROWS, 2), self.tokens.pad), CLEAN), dim=1)
        places = torch.arange(wide.shape[1])
        attended = ((places >= 2) & (places < 2 + CONTEXT + 2)).expand(ROWS, -1)
        padded = at_once(model, NOISY, wide, size, attended)[:, :2]
        assert close(padded, alone)

    @pytest.mark.parametrize("size", SIZES)
    def test_token_depends_on_its_own_document_only(self, size: int) -> None:
        """A document can begin anywhere in a block or context."""
        model = self.network()
        for begin in range(1, CONTEXT + ANSWER):
            documents = (
                1 + (torch.arange(CONTEXT + ANSWER) >= begin).expand(ROWS, -1).int()
            )
            before = at_once(model, NOISY, CLEAN, size, documents)
            for column in range(CONTEXT + ANSWER):
                clean = changed(CLEAN, column)
                noisy = NOISY
                if column >= CONTEXT:
                    noisy = changed(NOISY, column - CONTEXT)
                after = at_once(model, noisy, clean, size, documents)
                moved = (after - before).abs().amax((0, 2)) > 1e-6
                other = documents[0, CONTEXT:] != documents[0, column]
                assert not (moved & other).any(), (begin, column)

    def test_head_on_selected_positions_equals_full_head(self) -> None:
        model = self.network()
        positions = torch.tensor([1, ANSWER - 1, ANSWER, 2 * ANSWER + 3])
        chosen = at_once(model, NOISY, CLEAN, 2, positions=positions)
        whole = at_once(model, NOISY, CLEAN, 2)
        torch.testing.assert_close(chosen, whole.flatten(0, 1)[positions])

    def test_cached_tokens_are_kept_after_advance_only(self) -> None:
        model = self.network()
        cache = cache_of(model)
        first = read(model, CLEAN[:, :CONTEXT], cache)
        torch.testing.assert_close(first, read(model, CLEAN[:, :CONTEXT], cache))
        cache.advance(CONTEXT)
        assert differ(first, read(model, CLEAN[:, :CONTEXT], cache))

    def test_kept_rows_of_cache_are_unchanged(self) -> None:
        model, going = self.network(), torch.tensor([2, 0])
        cache = cache_of(model)
        read(model, CLEAN[:, :CONTEXT], cache)
        cache.advance(CONTEXT)
        block = CLEAN[:, CONTEXT : CONTEXT + 2]
        whole = read(model, block, cache)
        cache.keep(going)
        assert close(read(model, block[going], cache), whole[going])

    def test_time_of_a_block_affects_itself_only(self) -> None:
        model, size = self.network(), 2
        if not takes_time(model):
            pytest.skip("the network has no time input")
        times = torch.full((ROWS, 3), 0.5)
        before = at_once(model, NOISY, CLEAN, size, times=times)
        for block in range(3):
            other = times.clone()
            other[:, block] = 0.9
            after = at_once(model, NOISY, CLEAN, size, times=other)
            moved = (after - before).abs().amax((0, 2))
            here = torch.arange(ANSWER) // size == block
            assert (moved[here] > 1e-6).all()
            assert (moved[~here] < 1e-6).all()


def at_once(
    model: nn.Module,
    noisy: Tensor,
    clean: Tensor,
    size: int,
    attended: Tensor | None = None,
    times: Tensor | None = None,
    *,
    positions: Tensor | None = None,
) -> Tensor:
    """Run all blocks in one pass; `times` (B, K) are those of blocks."""
    if times is None:
        times = torch.full((len(noisy), -(-noisy.shape[1] // size)), 0.5)
    t = times.repeat_interleave(size, dim=1)[:, : noisy.shape[1]]
    return call(
        model,
        noisy,
        attended,
        t=t,
        positions=positions,
        clean_ids=clean,
        block_size=size,
    ).detach()


def one_by_one(
    model: nn.Module, size: int, attended: Tensor | None, times: Tensor
) -> Tensor:
    """Run every block with a cache of the earlier clean tokens."""
    cache, parts, width = cache_of(model), [], CONTEXT
    read(model, CLEAN[:, :width], cache, attended)
    cache.advance(width)
    for block, start in enumerate(range(0, ANSWER, size)):
        noisy = NOISY[:, start : start + size]
        parts.append(read(model, noisy, cache, attended, times[:, block]))
        clean = CLEAN[:, width : width + size]
        read(model, clean, cache, attended)
        cache.advance(clean.shape[1])
        width += size
    return torch.cat(parts, dim=1)


def read(
    model: nn.Module,
    ids: Tensor,
    cache: Any,
    attended: Tensor | None = None,
    t: Tensor | None = None,
) -> Tensor:
    """Run a pass over tokens with a cache; clean tokens are at time 0."""
    mask = None if attended is None else attended[:, : cache.length + ids.shape[1]]
    t = torch.zeros(len(ids)) if t is None else t
    return call(model, ids, mask, t=t, cache=cache).detach()


def cache_of(model: nn.Module) -> Any:
    make: Any = model.new_cache
    return make(ROWS, CONTEXT + ANSWER)


def close(one: Tensor, other: Tensor) -> bool:
    """Whether logits agree up to rounding."""
    return torch.allclose(one, other, rtol=1e-4, atol=1e-4)


def changed(ids: Tensor, column: int) -> Tensor:
    """Change the tokens of one column."""
    other = ids.clone()
    other[:, column] = torch.where(ids[:, column] == 7, 5, 7)
    return other
