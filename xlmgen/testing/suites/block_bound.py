"""Tests of the block diffusion bound, which is the entropy for an oracle."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from xlmgen.testing.blocks import (
    SIZES,
    BlockOracle,
    BlockSubject,
    answer_log_probs,
    entropy,
    laid_out,
)
from xlmgen.testing.schedule import alpha, loss_weight, noise_schedule, slope
from xlmgen.testing.suites.loss import Batch, use
from xlmgen.testing.suites.masked_bound import quadrature
from xlmgen.testing.suites.model import call, takes_time
from xlmgen.testing.toy import ANSWER, Toy, seeded

PATTERNS = torch.tensor(list(product([False, True], repeat=ANSWER)))


class BlockBoundSubject(BlockSubject):
    """A family with blocks, and batches that are built without its collator."""

    @property
    def trained(self) -> tuple[float, float]:
        """Interval of the times drawn in training."""
        clip = self.spec.collator.options["clip"]
        if clip is not None:
            return float(clip[0]), float(clip[1])
        assert self.spec.noise_schedule is not None
        return float(self.spec.noise_schedule.options["sampling_eps"]), 1.0

    def bounds(
        self,
        model: nn.Module,
        toy: Toy,
        size: int,
        start: float = 0.0,
        end: float = 1.0,
    ) -> Tensor:
        """Expected loss (S,) of every row over times from start to end."""
        total = torch.zeros(len(toy), dtype=torch.float64)
        for chance, batch in self.at_nodes(toy, size, start, end):
            nll = chance * self.row_nll(model, batch)
            total += nll.view(len(toy), -1).sum(1)
        return total

    def at_nodes(
        self, toy: Toy, size: int, start: float = 0.0, end: float = 1.0
    ) -> list[tuple[Tensor, Batch]]:
        """Enumerate all rows and mask patterns of each block at each time node.

        Masks of other blocks have no influence on a block, so they have none.

        Returns:
            pairs of the probabilities (N,) of patterns given their row, and a batch.
        """
        schedule = noise_schedule(self.spec)
        low, high = (1 - alpha(schedule, t) for t in (start, end))
        rows = torch.arange(len(toy)).repeat_interleave(len(PATTERNS))
        clean, attended, answer, _ = laid_out(toy, rows, self.tokens.pad)
        found = []
        for first in range(0, ANSWER, size):
            place = torch.arange(ANSWER)
            here = answer[:, -ANSWER:] & (place >= first) & (place < first + size)
            patterns = PATTERNS.repeat(len(toy), 1)
            kept = ~(patterns & ~here).any(1)
            masked = patterns & here
            number, hidden = here.sum(1), masked.sum(1)
            for level, share in quadrature(low, high):
                t = schedule.inverse(torch.tensor(1 - level, dtype=torch.float64))
                chance = kept * level**hidden * (1 - level) ** (number - hidden)
                times = t.float().expand(len(rows), ANSWER)
                found.append(
                    (
                        chance * share / -slope(schedule, t),  # dt = dm / −α′
                        self.batch(clean, masked, times, size, attended),
                    )
                )
        return found

    def batch(
        self,
        clean: Tensor,
        masked: Tensor,
        t: Tensor,
        size: int,
        attended: Tensor | None = None,
    ) -> Batch:
        """Build a batch by its declaration, without the family's collator."""
        whole = attended is None or bool(attended.all())
        maskable = torch.ones_like(masked)
        if attended is not None:
            maskable = attended[:, -ANSWER:]
        return {
            "input_ids": clean[:, -ANSWER:].masked_fill(masked, self.tokens.mask),
            "clean_ids": clean,
            "attention_mask": None if whole else attended,
            "maskable": maskable,
            "masked_positions": masked.flatten().nonzero().squeeze(1),
            "t": t,
            "time_weight": 1.0,
            "block_size": size,
        }

    def chain(self, model: nn.Module, toy: Toy) -> Tensor:
        """Compute Σ −log p(x_i | MASK after the earlier tokens) of every row, (S,)."""
        found = []
        for row, length in zip(toy.rows, toy.lengths.tolist(), strict=True):
            start = int((row == self.tokens.bos).long().argmax()) + 1
            clean = row[None, :length]
            masked = torch.full((1, length - start), self.tokens.mask)
            logits = call(model, masked, clean_ids=clean, block_size=1)
            hidden = torch.ones_like(masked, dtype=torch.bool)
            nll = self.masked_nll(logits.detach().double(), clean[:, start:], hidden)
            found.append(nll.sum())
        return torch.stack(found)

    def masked_nll(self, logits: Tensor, clean: Tensor, masked: Tensor) -> Tensor:
        """Compute −log p (B, A) of the clean tokens without MASK; 0 if not masked."""
        logits = logits.clone()
        logits[..., self.tokens.mask] = -torch.inf
        log_probs = logits.log_softmax(-1).gather(-1, clean[..., None])[..., 0]
        return -torch.where(masked, log_probs, 0.0)

    def weight(self, t: Tensor) -> Tensor:
        """Compute w(t) = −α′/(1 − α) in float64."""
        return loss_weight(noise_schedule(self.spec), t)

    def row_nll(self, model: nn.Module, batch: Batch) -> Tensor:
        """Compute the family's loss of every row, (B,) in float64."""
        output = self.family.loss(self.tokens)(model, batch)
        nll: Tensor = output["row_loss"]
        return nll.double()

    def oracle(self, toy: Toy) -> BlockOracle:
        """Make an oracle whose highest logit is MASK, which the loss must exclude."""
        mask = self.tokens.mask
        return BlockOracle(
            toy, self.tokens.vocab_size, mask, self.tokens.pad, distractors=(mask,)
        )


class BlockBoundTests(BlockBoundSubject):
    """`Σ_b E_t [ w(t) · Σ_masked −log p(x_i | z_t, x_<b) ]` (arXiv:2503.09573).

    For the oracle every block's term is the entropy of the block given earlier blocks.
    Their sum is the entropy of the answer for all block sizes.
    """

    @pytest.mark.parametrize("prompted", [True, False])
    @pytest.mark.parametrize("size", SIZES)
    def test_bound_of_oracle_equals_entropy(self, size: int, prompted: bool) -> None:
        """Sums over rows and mask patterns, and integrates over time by quadrature."""
        toy = self.block_toy(size, prompted)
        measured = (toy.probs * self.bounds(self.oracle(toy), toy, size)).sum()
        assert float(measured) == pytest.approx(entropy(toy), rel=1e-4)

    def test_wrong_network_has_higher_loss(self) -> None:
        toy = self.block_toy(2)
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        right = self.bounds(self.oracle(toy), toy, 2)
        paid = self.bounds(self.oracle(wrong), toy, 2)
        assert float((toy.probs * (paid - right)).sum()) > 0.05

    def test_blocks_of_one_token_equal_chain_rule(self) -> None:
        """Equals −log p of every row by the chain rule, for networks without time."""
        toy = self.block_toy(1)
        exact = -answer_log_probs(toy)
        measured = self.bounds(self.oracle(toy), toy, 1)
        torch.testing.assert_close(measured, exact, rtol=1e-4, atol=1e-5)
        model = self.network()
        if takes_time(model):
            return
        measured = self.bounds(model, toy, 1)
        torch.testing.assert_close(
            measured, self.chain(model, toy), rtol=1e-4, atol=1e-5
        )

    def test_loss_is_divided_by_maskable_tokens_in_one_pass(self) -> None:
        """Dividing by the number of masked tokens would be another objective."""
        toy = self.block_toy(2)
        oracle, batch = self.oracle(toy), self.at_nodes(toy, 2)[0][1]
        output = self.family.loss(self.tokens)(oracle, batch)
        assert output["normalizer"].equal(batch["maskable"].sum(1))
        assert oracle.calls == 1

    def test_loss_without_masks_is_zero(self) -> None:
        toy = self.block_toy(2)
        rows = torch.arange(len(toy))
        clean, attended, _, _ = laid_out(toy, rows, self.tokens.pad)
        t = torch.full((len(toy), ANSWER), 0.5)
        none = torch.zeros(len(toy), ANSWER, dtype=torch.bool)
        model = self.network()
        output = self.family.loss(self.tokens)(
            model, self.batch(clean, none, t, 2, attended)
        )
        assert output["loss"].item() == 0
        torch.autograd.backward(output["loss"])
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name

    @pytest.mark.parametrize("evaluation", [True, False])
    @pytest.mark.parametrize("size", SIZES)
    def test_estimate_on_collated_batches_equals_bound(
        self, size: int, evaluation: bool
    ) -> None:
        """Evaluation integrates over all times, training over the times of the spec."""
        toy = self.block_toy(size)
        kind = self.family.collators[use(toy)]
        collator = type("Sized", (kind,), {"block_size": size})
        collate = collator(self.tokens, toy.max_length, evaluation=evaluation)
        examples = [toy.examples[row] for row in toy.sample(6000).tolist()]
        nll = self.row_nll(self.oracle(toy), collate(examples, seeded(0)))
        times = (0.0, 1.0) if evaluation else self.trained
        expected = float(
            (toy.probs * self.bounds(self.oracle(toy), toy, size, *times)).sum()
        )
        error = float(nll.std()) / math.sqrt(len(nll))
        assert abs(float(nll.mean()) - expected) < 5 * error
        assert error < 0.1 * expected


class BlockWeightTests(BlockBoundSubject):
    """`w(t) · Σ_masked −log p(x_i | z_t, x_<b)` of every token (arXiv:2503.09573)."""

    def test_one_block_without_context_equals_masked_diffusion(self) -> None:
        """Equals w(t) times the sum over the masks of a bidirectional pass."""
        model = self.network()
        clean = torch.randint(5, 8, (8, ANSWER), generator=seeded(1))
        t = torch.linspace(0.1, 1, len(PATTERNS))
        batch = self.batch(clean, PATTERNS, t[:, None].expand(-1, ANSWER), ANSWER)
        logits = call(model, batch["input_ids"], t=t).detach().double()
        weight = self.weight(t)
        expected = weight * self.masked_nll(logits, clean, PATTERNS).sum(1)
        measured = self.row_nll(model, batch)
        torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize("size", SIZES)
    def test_tokens_are_weighted_by_the_time_of_their_block(self, size: int) -> None:
        """For every row, with masks in all blocks and different times."""
        toy = self.block_toy(size)
        rows = torch.arange(len(toy)).repeat_interleave(len(PATTERNS))
        clean, attended, answer, _ = laid_out(toy, rows, self.tokens.pad)
        answer = answer[:, -ANSWER:]
        masked = PATTERNS.repeat(len(toy), 1) & answer
        blocks = -(-ANSWER // size)
        t = 0.2 + 0.8 * torch.rand(len(rows), blocks, generator=seeded(0))
        t = t.repeat_interleave(size, dim=1)[:, :ANSWER]
        batch = self.batch(clean, masked, t, size, attended)
        plain = BlockOracle(
            toy, self.tokens.vocab_size, self.tokens.mask, self.tokens.pad
        )
        logits = plain(
            batch["input_ids"],
            batch["attention_mask"],
            clean_ids=clean,
            block_size=size,
        )
        found = self.masked_nll(logits.double(), clean[:, -ANSWER:], masked)
        expected = (self.weight(t) * found).sum(1)
        measured = self.row_nll(self.oracle(toy), batch)
        torch.testing.assert_close(measured, expected, rtol=1e-4, atol=1e-5)
        half = self.row_nll(self.oracle(toy), batch | {"time_weight": 0.5})
        torch.testing.assert_close(half, measured / 2, rtol=1e-4, atol=1e-5)
