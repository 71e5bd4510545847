"""Tests of unmasking with an approximate cache of keys and values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.runtime.decoding.cached import CachedState
from xlmgen.runtime.decoding.masked import MaskedState
from xlmgen.testing.suites.predictor import Batch
from xlmgen.testing.suites.unmasking import UnmaskingSubject

BLOCK = 3
ANSWER = 8
"""Two full blocks, and one of two positions."""


class CacheTests(UnmaskingSubject):
    """Logits that must be exact are, and passes compute the positions that they say.

    Tokens outside of a block do not change while it is filled. So keys and values of a
    network with a single layer are exact in any cache, and so are its logits.
    """

    @pytest.mark.parametrize("refresh", [1, 2, None])
    def test_single_layer_gives_exact_logits(
        self, refresh: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of every pass, with prompts of several lengths, pads and holes."""
        errors = self.errors(self.rows(), refresh, monkeypatch, layers=1)
        assert max(errors) < 1e-10

    def test_full_passes_give_exact_logits(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        errors = self.errors(self.rows(), 1, monkeypatch, layers=3)
        assert max(errors) < 1e-10

    def test_single_block_without_prompt_gives_exact_logits(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All positions belong to the block."""
        batch = self.blank(rows=2)
        errors = self.errors(batch, None, monkeypatch, layers=3, decoding_block=ANSWER)
        assert max(errors) < 1e-10

    def test_cached_passes_of_several_layers_are_approximate(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The first pass of a block is exact; later ones attend to a cache."""
        errors = self.errors(self.rows(), None, monkeypatch, layers=3)
        assert errors[0] < 1e-10
        assert max(errors) > 1e-6

    @pytest.mark.parametrize("refresh", [1, 2, None])
    def test_passes_compute_the_positions_they_need(
        self, refresh: int | None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """All in a full pass, else the block; with a prefix cache also what follows.

        Full passes are the first of every block and every `refresh`-th one after it.
        """
        model = Counted(self.wide_network(layers=2))
        begin = MaskedState.begin_block

        def begin_block(state: MaskedState) -> None:
            model.widths.append([])
            begin(state)

        monkeypatch.setattr(MaskedState, "begin_block", begin_block)
        options = self.slowly | {"refresh": refresh}
        out = self.generate(model, self.blank(rows=1), **options)
        assert out.forward_passes == sum(map(len, model.widths))
        networks = 2 if self.options["guidance"] is not None else 1
        for block, widths in enumerate(model.widths):
            start = block * BLOCK
            stop = min(start + BLOCK, ANSWER)
            if self.options["cache"]["kind"] == "prefix":
                stop = ANSWER
            if "shifted" in self.provided:  # the block's first token is predicted there
                start = max(0, start - 1)
            assert widths == [
                ANSWER if number % (refresh or ANSWER**3) == 0 else stop - start
                for number in range(len(widths) // networks)
                for _ in range(networks)
            ]

    def test_rows_that_have_finished_take_no_part(self) -> None:
        batch = self.blank(rows=2)
        batch["input_ids"][0, BLOCK:] = 5
        batch["fillable"][0, BLOCK:] = False
        model = Counted(self.wide_network(layers=2))
        self.generate(model, batch, **self.slowly)
        assert model.rows[0] <= 2
        assert set(model.rows[-2:]) == {1}

    @property
    def slowly(self) -> dict[str, Any]:
        """Options that fill blocks of three positions by several passes each."""
        steps = {"steps": 6 * ANSWER} if self.stepped else {}
        return self.one_at_a_time | steps | {"decoding_block": BLOCK}

    def wide_network(self, layers: int) -> nn.Module:
        """Make a float64 network, so that only approximations differ."""
        return self.network(layers=layers).double()

    def blank(self, rows: int) -> Batch:
        """Build rows without a prompt or pads."""
        ids = torch.full((rows, ANSWER), self.tokens.mask)
        everything = torch.ones_like(ids, dtype=torch.bool)
        return {"input_ids": ids, "attention_mask": None, "fillable": everything}

    def rows(self) -> Batch:
        """Build rows with prompts of two lengths, holes, few masks, and left pads."""
        pad, mask = self.tokens.pad, self.tokens.mask
        answer = [mask] * ANSWER
        rows = [
            [5, *answer, pad, pad],
            [7, 6, 5, *answer],
            [mask, 5, mask, mask, 6, mask, 7, 7, mask, mask, 5],
            [6, mask, mask, *[pad] * 8],
            [pad, pad, 6, *answer],
        ]
        ids = torch.tensor(rows)
        return {
            "input_ids": ids,
            "attention_mask": ids != pad,
            "fillable": ids == mask,
        }

    def errors(
        self,
        batch: Batch,
        refresh: int | None,
        monkeypatch: pytest.MonkeyPatch,
        *,
        layers: int,
        **numbers: Any,
    ) -> list[float]:
        """Largest difference of every pass's logits from those without a cache."""
        found: list[float] = []
        cached = CachedState.logits

        def both(
            state: CachedState,
            where: Tensor,
            t: Tensor | None = None,
            *,
            without_prompt: bool = False,
        ) -> Tensor:
            if t is not None:  # keys and values of cached positions depend on it
                t = torch.full_like(t, 0.5)
            logits = cached(state, where, t, without_prompt=without_prompt)
            passes = state.forward_passes
            exact = MaskedState.logits(state, where, t, without_prompt=without_prompt)
            state.forward_passes = passes
            assert logits.shape == exact.shape
            found.append(float((logits - exact).abs().max()))
            return logits

        monkeypatch.setattr(CachedState, "logits", both)
        options = self.slowly | {"refresh": refresh} | numbers
        out = self.generate(self.wide_network(layers), batch, **options)
        assert not (out.ids == self.tokens.mask).any()
        given = ~batch["fillable"]
        assert out.ids[given].equal(batch["input_ids"][given])
        return found


class Counted(nn.Module):
    """A network that counts the rows and positions of every pass.

    Attributes:
        widths: positions of every pass, in lists by block.
        rows: rows of every pass.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.head = model, model.head
        self.widths: list[list[int]] = []
        self.rows: list[int] = []

    def new_cache(self, rows: int, length: int) -> Any:
        make: Any = self.model.new_cache
        return make(rows, length)

    def forward(self, input_ids: Tensor, *inputs: Any, **options: Any) -> Any:
        self.rows.append(len(input_ids))
        if self.widths:
            self.widths[-1].append(input_ids.shape[1])
        return self.model(input_ids, *inputs, **options)
