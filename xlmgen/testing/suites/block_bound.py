"""The bound of block diffusion, which is the entropy for an oracle."""

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
from xlmgen.testing.suites.diffusion_bound import quadrature
from xlmgen.testing.suites.loss import Batch, use
from xlmgen.testing.suites.model import call, takes_time
from xlmgen.testing.toy import ANSWER, Toy, seeded

PATTERNS = torch.tensor(list(product([False, True], repeat=ANSWER)))


class BlockBoundTests(BlockSubject):
    """`Σ_b E_t [ w(t) · Σ_masked −log p(x_i | z_t, x_<b) ]` (arXiv:2503.09573).

    For the oracle every block's term is the entropy of the block given those before it:
    together that of the answer, whatever the size of the blocks.
    """

    @pytest.mark.parametrize("prompted", [True, False])
    @pytest.mark.parametrize("size", SIZES)
    def test_oracles_bound_is_the_entropy(self, size: int, prompted: bool) -> None:
        """Over every row and pattern of masks, and the time by quadrature."""
        toy = self.block_toy(size, prompted)
        measured = (toy.probs * self.bounds(self.oracle(toy), toy, size)).sum()
        assert float(measured) == pytest.approx(entropy(toy), rel=1e-4)

    def test_a_wrong_network_pays_more(self) -> None:
        toy = self.block_toy(2)
        wrong = Toy(**{**vars(toy), "probs": toy.probs.flip(0)})
        right = self.bounds(self.oracle(toy), toy, 2)
        paid = self.bounds(self.oracle(wrong), toy, 2)
        assert float((toy.probs * (paid - right)).sum()) > 0.05

    def test_blocks_of_one_token_are_autoregressive(self) -> None:
        """Exact row by row: −log p by the chain rule, of any network without time."""
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

    def test_one_block_without_a_context_is_masked_diffusion(self) -> None:
        """w(t) times the sum over the masks of a bidirectional pass."""
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
    def test_every_token_is_weighted_by_the_time_of_its_block(self, size: int) -> None:
        """Row by row, with masks in all blocks and another time in each."""
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
        half = self.row_nll(self.oracle(toy), batch | {"span": 0.5})
        torch.testing.assert_close(half, measured / 2, rtol=1e-4, atol=1e-5)

    def test_all_maskable_tokens_are_counted_in_one_pass(self) -> None:
        """Dividing by the masked ones would be another objective."""
        toy = self.block_toy(2)
        oracle, batch = self.oracle(toy), self.at_nodes(toy, 2)[0][1]
        output = self.family.loss(self.tokens)(oracle, batch)
        assert output["num_tokens"].equal(batch["maskable"].sum(1))
        assert oracle.calls == 1

    def test_no_mask_at_all_is_no_loss(self) -> None:
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
    def test_estimates_through_the_collator_agree(
        self, size: int, evaluation: bool
    ) -> None:
        """Evaluation integrates over all times, training over those of the spec."""
        toy = self.block_toy(size)
        kind = self.family.collators[use(toy)]
        collator = type("Sized", (kind,), {"block_size": size})
        collate = collator(self.tokens, toy.block, evaluation=evaluation)
        examples = [toy.examples[row] for row in toy.sample(6000).tolist()]
        nll = self.row_nll(self.oracle(toy), collate(examples, seeded(0)))
        times = (0.0, 1.0) if evaluation else self.trained
        expected = float(
            (toy.probs * self.bounds(self.oracle(toy), toy, size, *times)).sum()
        )
        error = float(nll.std()) / math.sqrt(len(nll))
        assert abs(float(nll.mean()) - expected) < 5 * error
        assert error < 0.1 * expected

    @property
    def trained(self) -> tuple[float, float]:
        """The times that training draws."""
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
        """(S,) the loss of every row, in expectation over times from start to end."""
        total = torch.zeros(len(toy), dtype=torch.float64)
        for chance, batch in self.at_nodes(toy, size, start, end):
            nll = chance * self.row_nll(model, batch)
            total += nll.view(len(toy), -1).sum(1)
        return total

    def at_nodes(
        self, toy: Toy, size: int, start: float = 0.0, end: float = 1.0
    ) -> list[tuple[Tensor, Batch]]:
        """For each block and node in time, all rows under all patterns in this block.

        What the other blocks hide changes nothing in this one: they hide nothing.

        Returns:
            pairs of the chances (N,) of patterns given their row, and a batch.
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
        """The batch as the contract says, without the family's collator."""
        whole = attended is None or bool(attended.all())
        maskable = torch.ones_like(masked)
        if attended is not None:
            maskable = attended[:, -ANSWER:]
        return {
            "input_ids": clean[:, -ANSWER:].masked_fill(masked, self.tokens.mask),
            "clean_ids": clean,
            "attention_mask": None if whole else attended,
            "maskable": maskable,
            "masked_at": masked.flatten().nonzero().squeeze(1),
            "t": t,
            "span": 1.0,
            "block_size": size,
        }

    def chain(self, model: nn.Module, toy: Toy) -> Tensor:
        """(S,) Σ −log p(x_i | MASK in its place behind the tokens before it)."""
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
        """(B, A) float64 −log p of the clean tokens, MASK excluded; 0 if not masked."""
        logits = logits.clone()
        logits[..., self.tokens.mask] = -torch.inf
        log_probs = logits.log_softmax(-1).gather(-1, clean[..., None])[..., 0]
        return -torch.where(masked, log_probs, 0.0)

    def weight(self, t: Tensor) -> Tensor:
        """w(t) = −α′/(1 − α), in float64."""
        return loss_weight(noise_schedule(self.spec), t)

    def row_nll(self, model: nn.Module, batch: Batch) -> Tensor:
        """(B,) float64: what the loss says of every row."""
        output = self.family.loss(self.tokens)(model, batch)
        nll: Tensor = output["nll"]
        return nll.double()

    def oracle(self, toy: Toy) -> BlockOracle:
        """It believes in MASK most of all, which the loss must not allow."""
        mask = self.tokens.mask
        return BlockOracle(
            toy, self.tokens.vocab_size, mask, self.tokens.pad, distractors=(mask,)
        )
