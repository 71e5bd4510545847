"""Ancestral sampling, with and without masking tokens again."""

from __future__ import annotations

import pytest
import torch

from xlmgen.testing.law import sampler_law
from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.schedule import ancestral_steps, levels
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.predictor import LEAST
from xlmgen.testing.suites.unmasking import UnmaskingSubject
from xlmgen.testing.toy import ANSWER

ROWS = 1500


class AncestralTests(UnmaskingSubject):
    """From t to s a masked token is revealed with probability (α_s − α_t)/(1 − α_t)."""

    @pytest.mark.parametrize("steps", [1, 4, 16])
    def test_samples_follow_the_law_of_so_many_steps(self, steps: int) -> None:
        """The exact law, with the error of revealing several tokens at once."""
        toy = self.toy()
        oracle = self.oracle(toy)
        block = 2 if self.options["block"] else None
        for prompt, drawn in self.samples(toy, steps=steps):
            row, fillable = self.row(prompt)
            law = sampler_law(
                oracle,
                row,
                fillable,
                ancestral_steps(self.spec, ANSWER, steps, block, self.eta),
                mask=self.tokens.mask,
                never=self.never,
                vocab_size=self.tokens.vocab_size,
            )
            assert p_value(tally(drawn, self.tokens.vocab_size), law) > LEAST

    def test_share_of_masks_follows_the_schedule(self) -> None:
        """After every step 1 − α_s of the positions are masked, remasking or not."""
        if self.options["block"]:
            pytest.skip("every block has its own clock")
        steps, logits = 8, torch.zeros(self.tokens.vocab_size)
        batch = self.prompts([(5,)], repeat=ROWS)
        model = FixedLogits(self.toy(), logits)
        out = self.generate(model, batch, steps=steps, trace=True)
        assert out.trace is not None
        masked = batch["fillable"].clone()
        total = int(masked.sum())
        for step, level in enumerate(levels(self.spec, steps)[1:]):
            now = out.trace.step == step
            where = (out.trace.row[now], out.trace.position[now])
            masked[where] = out.trace.token[now] == self.tokens.mask
            expected = (1 - level) * total
            error = (total * level * (1 - level)) ** 0.5
            assert abs(int(masked.sum()) - expected) <= 4.5 * error + 1e-6
        assert not masked.any()

    def test_uncertain_tokens_are_masked_again_more_often(self) -> None:
        """Of two positions the network is sure of the first only."""
        remask = self.options["remask"]
        if not remask or not remask["confidence"]:
            pytest.skip("remasking looks at no confidence")
        logits = torch.full((2, self.tokens.vocab_size), -20.0)
        logits[0, 5], logits[1, 5:] = 20.0, 1.0
        ids = torch.full((ROWS, 2), self.tokens.mask)
        batch = {
            "input_ids": ids,
            "attention_mask": None,
            "fillable": torch.ones_like(ids, dtype=torch.bool),
        }
        model = FixedLogits(self.toy(), logits)
        out = self.generate(model, batch, steps=20, eta=0.9, trace=True)
        assert out.trace is not None
        visible = torch.zeros_like(ids, dtype=torch.bool)
        again = torch.zeros(2, dtype=torch.long)
        for step in range(20):
            now = out.trace.step == step
            row, position = out.trace.row[now], out.trace.position[now]
            masked = out.trace.token[now] == self.tokens.mask
            # Where only one of them is visible, there is nothing to choose from.
            chosen = masked & visible.all(1)[row]
            again += position[chosen].bincount(minlength=2)
            visible[row, position] = ~masked
        sure, unsure = again.tolist()
        assert sure > 0
        assert unsure - sure > 3.5 * (unsure + sure) ** 0.5  # as even chances do not
