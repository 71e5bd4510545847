"""Tests of generation by resampling, from uniform noise to data."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.runtime.sampling import log_margin, log_top_prob
from xlmgen.testing.state import StateSampler, at_random, without_noise
from xlmgen.testing.statistics import p_value, tally
from xlmgen.testing.suites.model import takes_time
from xlmgen.testing.suites.predictor import (
    LEAST,
    PROMPTS,
    Batch,
    PredictorSubject,
)
from xlmgen.testing.toy import ANSWER

REPEAT = 4000


class ResamplingSubject(PredictorSubject):
    """Reference values of a resampling predictor's options."""

    @property
    def corrections(self) -> int:
        """Number of redrawn tokens after every step but the last."""
        corrector = self.spec.predictor.options["corrector"]
        return int(corrector["steps"]) if corrector else 0

    def passes(self, steps: int) -> int:
        return steps + self.corrections * (steps - 1)

    def holes(self) -> Batch:
        """Build rows of one length with one, two (not adjacent) and three holes."""
        mask = self.tokens.mask
        ids = torch.tensor(
            [[5, mask, 6, 7, 5], [mask, 6, 7, mask, 5], [5, mask, mask, mask, 7]]
        )
        return {"input_ids": ids, "attention_mask": None, "fillable": ids == mask}

    def places(self, ids: Tensor) -> Tensor:
        """Indices among the K ordinary tokens."""
        place = torch.full((self.tokens.vocab_size,), -1)
        place[self.ordinary] = torch.arange(len(self.ordinary))
        assert (place[ids] >= 0).all()
        return place[ids]


class ResamplingTests(ResamplingSubject):
    """Noise at the start, every position until the end, and nothing else."""

    def test_network_sees_symbols_of_the_noise_only(self) -> None:
        """MASK is one of them in hybrid noise."""
        seen = Seen(self.network())
        self.generate(seen, self.holes())
        assert seen.inputs
        for ids in seen.inputs:
            assert set(ids.flatten().tolist()) <= set(self.noise.symbols)

    def test_default_options_fill_every_position(self) -> None:
        batch = self.holes()
        out = self.family.predictor(self.tokens).generate(self.network(), batch)
        assert set(out.ids[out.generated].tolist()) <= set(self.ordinary)
        given = ~batch["fillable"]
        assert out.ids[given].equal(batch["input_ids"][given])
        assert out.generated.equal(batch["fillable"])

    def test_first_input_is_noise(self) -> None:
        """Uniform over all pairs of the K tokens, or MASK in hybrid noise."""
        seen = Seen(self.network())
        batch = self.prompts([(5,)], repeat=REPEAT)
        self.generate(seen, batch, steps=1)
        size = len(self.ordinary)
        noise = seen.inputs[0][batch["fillable"]].view(-1, ANSWER)
        if self.noise.mask is not None:
            assert (noise == self.noise.mask).all()
            return
        counts = tally(self.places(noise[:, :2]), size)
        even = torch.full((size, size), 1 / size**2, dtype=torch.float64)
        assert p_value(counts, even) > LEAST

    def test_passes_are_steps_and_corrections(self) -> None:
        for steps in (1, 2, 7):
            out = self.generate(self.network(), self.holes(), steps=steps)
            assert out.forward_passes == self.passes(steps)

    def test_times_decrease_from_noise_to_data(self) -> None:
        if not takes_time(self.network()):
            return
        oracle = self.oracle(self.toy())
        self.generate(oracle, self.prompts([(5,)]), steps=10)
        times = [float(t[0]) for t in oracle.times]
        assert times == sorted(times, reverse=True)
        assert times[0] == 1
        # A correction happens at the time after the step, the next step there too.
        each = 1 + self.corrections
        expected = [1 - (k + each - 1) // each / 10 for k in range(self.passes(10))]
        assert times == pytest.approx(expected, abs=1e-6)

    def test_inputs_have_the_noise_of_their_time(self) -> None:
        """The share of a token that the network is sure of is α + b before a step."""
        logits = torch.full((self.tokens.vocab_size,), -40.0)
        logits[6] = 0.0
        seen = Seen(self.fixed(logits))
        batch = self.prompts([(5,)], repeat=REPEAT)
        self.generate(seen, batch, steps=5)
        symbols, each = self.noise.symbols, 1 + self.corrections
        for step in range(5):
            ids = seen.inputs[step * each][batch["fillable"]]
            alpha, probs = self.noise.level(1 - step / 5)
            probs[symbols.index(6)] += alpha
            counts = ids.bincount(minlength=self.tokens.vocab_size)[symbols]
            assert p_value(counts, probs) > LEAST

    def test_only_one_token_of_a_row_changes_in_a_correction(self) -> None:
        """A correction redraws one token given all others."""
        seen = Seen(self.network())
        self.generate(seen, self.holes(), steps=6)
        each = 1 + self.corrections
        for index, (one, other) in enumerate(
            zip(seen.inputs, seen.inputs[1:], strict=False)
        ):
            if index % each:
                assert ((one != other).sum(1) <= 1).all()

    def test_correction_redraws_a_token_without_its_own_value(self) -> None:
        """From α c + b, where c is the prediction that does not know the token."""
        if not self.corrections:
            return
        logits = torch.full((self.tokens.vocab_size,), -40.0)
        logits[self.ordinary] = torch.linspace(0, 2, len(self.ordinary))
        seen = Seen(self.fixed(logits))
        row = torch.tensor([[5, self.tokens.mask, 6]]).repeat(REPEAT, 1)
        hole = row == self.tokens.mask
        batch: Batch = {"input_ids": row, "attention_mask": None, "fillable": hole}
        self.generate(seen, batch, steps=2)
        symbols = self.noise.symbols
        alpha, probs = self.noise.level(0.5)
        before, after = (seen.inputs[index][hole] for index in (1, 2))
        for index, symbol in enumerate(symbols):
            predicted = logits.double()[symbols].softmax(0)
            if self.knows_itself:  # Bayes: without the evidence of the token itself
                evidence = torch.full_like(predicted, float(probs[index]))
                evidence[index] += alpha
                predicted = predicted / evidence
            law = alpha * predicted / predicted.sum() + probs
            redrawn = after[before == symbol]
            counts = redrawn.bincount(minlength=self.tokens.vocab_size)[symbols]
            assert p_value(counts, law) > LEAST

    def test_last_step_leaves_no_noise(self) -> None:
        """A network that is certain of a token generates it, whatever the noise."""
        logits = torch.full((self.tokens.vocab_size,), -40.0)
        logits[6] = 0.0
        batch = self.prompts(PROMPTS, repeat=50)
        for steps in (1, 2, 5):
            out = self.generate(self.fixed(logits), batch, steps=steps)
            assert (out.ids[out.generated] == 6).all()

    def test_last_step_takes_most_likely_tokens_if_asked(self) -> None:
        if self.spec.predictor.options["last"] != "argmax":
            return
        logits = torch.zeros(self.tokens.vocab_size)
        logits[6] = 0.1
        out = self.generate(self.fixed(logits), self.prompts(PROMPTS, repeat=50))
        assert (out.ids[out.generated] == 6).all()

    def test_rows_do_not_affect_each_other(self) -> None:
        """Rows without a position to fill are no part of the batch's passes."""
        batch = self.holes()
        batch["fillable"][1] = False
        batch["input_ids"][1] = 5
        seen = Seen(self.network())
        out = self.generate(seen, batch)
        assert out.ids[1].tolist() == [5] * 5
        assert all(len(ids) == 2 for ids in seen.inputs)

    def test_prompts_of_different_lengths_and_no_prompt(self) -> None:
        batch = self.prompts([(), *PROMPTS], repeat=2)
        out = self.generate(self.network(), batch)
        assert not (out.ids == self.tokens.mask).any()

    def test_batch_without_free_positions_takes_no_pass(self) -> None:
        ids = torch.tensor([[5, 6, 7]])
        none = torch.zeros_like(ids, dtype=torch.bool)
        batch = {"input_ids": ids, "attention_mask": None, "fillable": none}
        out = self.generate(self.network(), batch)
        assert out.forward_passes == 0
        assert out.ids.equal(ids)


class ResamplingLawTests(ResamplingSubject):
    """Samples follow the law of the steps, computed from the definition of the noise.

    The law includes the error of drawing all tokens of a step independently.
    """

    @pytest.mark.parametrize("steps", [1, 2, 3, 8])
    def test_samples_follow_the_exact_distribution_of_few_steps(
        self, steps: int
    ) -> None:
        oracle, size = self.oracle(self.toy()), len(self.ordinary)
        prompts = PROMPTS[:2]
        batch = self.prompts(prompts, REPEAT)
        out = self.generate(oracle, batch, steps=steps)
        answers = out.ids[batch["fillable"]].view(len(prompts), REPEAT, ANSWER)
        for prompt, drawn in zip(prompts, answers, strict=True):
            times = [1 - step / steps for step in range(steps)] + [0.0]
            law = self.sampler(oracle, prompt).law(times, self.corrections)
            law = law[(slice(size),) * ANSWER]  # no MASK is left
            assert float(law.sum()) == pytest.approx(1)
            assert p_value(tally(self.places(drawn), size), law) > LEAST

    def sampler(self, oracle: nn.Module, prompt: tuple[int, ...]) -> StateSampler:
        """The reference of the family's sampler after a prompt."""
        batch = self.prompts([prompt])
        row, fillable = batch["input_ids"][0], batch["fillable"][0]
        noise = self.noise
        ids = torch.tensor(noise.symbols)
        timed = takes_time(self.network())

        def predict(strings: Tensor, t: float) -> Tensor:
            rows = row.repeat(len(strings), 1)
            rows[:, fillable] = ids[strings]
            time = {"t": torch.full((len(rows),), t)} if timed else {}
            logits: Tensor = oracle(rows, **time)[:, fillable].double()
            logits[..., list(self.suppress_tokens)] = -torch.inf
            probs = logits[..., ids].softmax(-1)
            return without_noise(probs, noise.level(t)[0]) if self.ratios else probs

        def choose(strings: Tensor, t: float) -> Tensor:
            corrector = self.spec.predictor.options["corrector"]
            if corrector["choose"] == "random":
                return at_random(strings, t)
            rate = {"margin": log_margin, "top_prob": log_top_prob}[corrector["choose"]]
            scores = rate(predict(strings, t).log())
            chosen = torch.zeros_like(scores)
            return chosen.scatter(1, scores.argmin(1, keepdim=True), 1.0)

        known, size = self.knows_itself, len(ids)
        return StateSampler(predict, noise.level, known, ANSWER, size, choose)


class Seen(nn.Module):
    """A network that records its inputs."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.head = inner.head
        self.inputs: list[Tensor] = []

    def forward(self, input_ids: Tensor, *inputs: Any, **options: Any) -> Any:
        self.inputs.append(input_ids.clone())
        return self.inner(input_ids, *inputs, **options)
