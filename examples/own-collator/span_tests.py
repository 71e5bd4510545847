"""Tests of batches with masked spans."""

import torch

from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.testing.subject import FamilyTests

ROWS, LENGTH = 20_000, 12
EXAMPLE = {"prompt": [5], "target": [5, 6, 7, 5, 6, 7, 5, 6, 7, 5, 6]}


class SpanTests(FamilyTests):
    """Tokens are masked as often at the ends of an answer as in its middle."""

    def masks(self):
        """Masks of many answers with EOS, (rows, positions)."""
        collator = self.family.collators["seq2seq"](self.tokens, MaxLength(LENGTH, 3))
        batch = collator([EXAMPLE] * ROWS, torch.Generator().manual_seed(0))
        masked = batch["input_ids"] == self.tokens.mask
        changed = batch["input_ids"] != batch["target_ids"]
        assert changed.equal(masked)
        assert not (masked & ~batch["maskable"]).any()
        return masked[:, 1:].double()

    def test_every_token_is_masked_in_half_of_the_rows(self):
        share = self.masks().mean(0)
        assert (share - 1 / 2).abs().max() < 5 * (1 / 4 / ROWS) ** 0.5

    def test_neighbours_are_masked_together(self):
        """S / (2S + 1): the mean over r of 1 − 2(1 − r) + (1 − r)^((S + 1)/S)."""
        span = self.spec.collator.options["length"]
        masks = self.masks()
        both = (masks[:, 1:] * masks[:, :-1]).mean(0)
        assert (both - span / (2 * span + 1)).abs().max() < 5 * (1 / 4 / ROWS) ** 0.5
