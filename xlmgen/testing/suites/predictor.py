"""Tests of all predictors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xlmgen.runtime import sampling
from xlmgen.runtime.decoding import noisy
from xlmgen.runtime.generation import Generation
from xlmgen.testing.oracle import (
    CausalOracle,
    FixedLogits,
    MaskedOracle,
    Oracle,
    OrderedOracle,
)
from xlmgen.testing.state import FixedRatios, StateOracle
from xlmgen.testing.statistics import p_value
from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.toy import ANSWER, Toy, seeded

Batch = dict[str, Any]
Prompts = list[tuple[int, ...]]

LEAST = 1e-4
"""A correct predictor has a lower p-value for one of 10⁴ seeds; the seed is fixed."""

PROMPTS: Prompts = [(5,), (7, 2), (6,)]
"""Prompts of different lengths; EOS (2) in them must have no effect."""


class PredictorSubject(FamilyTests):
    """A family whose predictor is tested, with prompts built without the collator."""

    @property
    def plain(self) -> dict[str, Any]:
        """Options with which the predictor samples the network's distribution."""
        numbers: dict[str, Any] = {"temperature": 1.0, "top_k": None, "top_p": None}
        options = self.spec.predictor.options
        if "max_new_tokens" in options:
            numbers["max_new_tokens"] = None
        if options.get("guidance") is not None:
            numbers["guidance"] = 0.0
        if options.get("decoding_block"):
            numbers["decoding_block"] = 2
        if options.get("remask"):
            numbers["eta"] = self.eta
        return numbers

    @property
    def one_draw(self) -> dict[str, Any]:
        """Options with which a token is drawn from the network once."""
        return {"steps": 1} if "objective:state" in self.provided else {}

    @property
    def eta(self) -> float:
        """Strength of remasking: strong if it keeps the distribution, else none."""
        remask = self.spec.predictor.options.get("remask")
        keeps = remask and not (remask["confidence"] or self.planned)
        return 0.5 if keeps else 0.0

    @property
    def planned(self) -> bool:
        """Whether drawn tokens decide which positions are revealed."""
        remask = self.spec.predictor.options.get("remask")
        return bool(remask and remask["rule"] == "plan")

    def generate(
        self,
        model: nn.Module,
        batch: Batch,
        *,
        seed: int = 0,
        trace: bool = False,
        **numbers: Any,
    ) -> Generation:
        """Run the family's predictor with the options `plain`, or others."""
        predictor = self.family.predictor(self.tokens, **self.plain | numbers)
        generation: Generation = predictor.generate(model, batch, seeded(seed), trace)
        return generation

    def answers(self, model: nn.Module, batch: Batch) -> list[list[int]]:
        """Generate an answer to every prompt at temperature 0."""
        out = self.generate(model, batch, temperature=0.0)
        return out.answers(self.tokens.eos)

    def prompts(self, prompts: Prompts, repeat: int = 1) -> Batch:
        """Build a batch for generation, with each prompt `repeat` times."""
        return (
            self.left_padded(prompts, repeat)
            if self.causal
            else self.masked_prompts(prompts, repeat)
        )

    def left_padded(self, prompts: Prompts, repeat: int) -> Batch:
        """Build `prompt [BOS]`, padded on the left."""
        rows = [[*prompt, self.tokens.bos] for prompt in prompts]
        width = max(map(len, rows))
        ids = torch.tensor([[self.tokens.pad] * (width - len(r)) + r for r in rows])
        attended = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
        mask = attended.bool().repeat_interleave(repeat, 0)
        return {
            "input_ids": ids.repeat_interleave(repeat, 0),
            "attention_mask": None if mask.all() else mask,
            "max_new_tokens": ANSWER,
        }

    def masked_prompts(self, prompts: Prompts, repeat: int) -> Batch:
        """Build `prompt [BOS]`, then MASK for the answer, padded on the right."""
        begins = self.spec.collator.options.get("bos", self.ordered)
        bos = [self.tokens.bos] * bool(begins)
        rows = [[*prompt, *bos] + [self.tokens.mask] * ANSWER for prompt in prompts]
        width = max(map(len, rows))
        ids = torch.tensor([r + [self.tokens.pad] * (width - len(r)) for r in rows])
        attended = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
        ids = ids.repeat_interleave(repeat, 0)
        mask = attended.bool().repeat_interleave(repeat, 0)
        return {
            "input_ids": ids,
            "attention_mask": None if mask.all() else mask,
            "fillable": ids == self.tokens.mask,
        }

    def oracle(self, toy: Toy) -> Oracle:
        """Make an oracle with the highest logits for ids that must not be generated."""
        size = self.tokens.vocab_size
        if self.causal:
            return CausalOracle(toy, size, self.suppress_tokens)
        if self.ordered:
            return OrderedOracle(toy, size, self.suppress_tokens)
        if "objective:state" in self.provided:
            known = self.knows_itself
            distractors = self.suppress_tokens
            return StateOracle(
                *(toy, self.noise),
                own=known,
                ratios=self.ratios,
                distractors=distractors,
            )
        return MaskedOracle(toy, size, self.tokens.mask, self.suppress_tokens)

    @property
    def knows_itself(self) -> bool:
        """Whether the network's prediction of a noised token knows the token itself."""
        return "predicts:clean" in self.provided

    def fixed(self, logits: Tensor) -> Oracle:
        """Make a network with constant logits (V,) of the clean tokens."""
        if self.ratios:
            return FixedRatios(self.toy(), logits, self.noise)
        return FixedLogits(self.toy(), logits)

    def start(self, batch: Batch, out: Generation) -> Tensor:
        """Return the ids (B, L) before generation, laid out as the result."""
        ids: Tensor = batch["input_ids"]
        if not self.causal:
            return ids
        room = ids.new_full((len(ids), batch["max_new_tokens"]), self.tokens.pad)
        return torch.cat((ids, room), dim=1)

    def first_tokens(self, logits: list[float], **numbers: Any) -> Tensor:
        """Count (V,) the first generated tokens for constant logits."""
        model = self.fixed(torch.tensor(logits))
        batch = self.prompts([(5,)], repeat=3000)
        if self.planned:  # in one step no token is preferred to another
            numbers |= {"steps": 1}
        out = self.generate(model, batch, **numbers)
        place = int(out.generated[0].long().argmax())
        return out.ids[:, place].bincount(minlength=self.tokens.vocab_size)


class PredictorTests(PredictorSubject):
    """Types, given tokens, reproducible draws, counted passes, token options."""

    def test_generation_has_declared_types(self) -> None:
        batch = self.prompts(PROMPTS)
        out = self.generate(self.oracle(self.toy()), batch)
        assert out.ids.shape == self.start(batch, out).shape == out.generated.shape
        assert out.ids.dtype == torch.int64
        assert out.generated.dtype == torch.bool
        assert isinstance(out.forward_passes, int)
        assert out.trace is None

    def test_given_tokens_never_change(self) -> None:
        batch = self.prompts(PROMPTS, repeat=30)
        out = self.generate(self.oracle(self.toy()), batch)
        start = self.start(batch, out)
        assert out.generated.any()
        assert out.ids[~out.generated].equal(start[~out.generated])
        given = batch["input_ids"].shape[1] if self.causal else 0
        assert not out.generated[:, :given].any()

    def test_batch_is_not_modified(self) -> None:
        batch = self.prompts(PROMPTS)
        before = batch["input_ids"].clone()
        self.generate(self.oracle(self.toy()), batch)
        assert batch["input_ids"].equal(before)

    def test_excluded_ids_are_never_generated(self) -> None:
        logits = torch.zeros(self.tokens.vocab_size)
        logits[list(self.suppress_tokens)] = 20.0
        batch = self.prompts(PROMPTS, repeat=30)
        for numbers in ({}, {"temperature": 0.0}, {"top_k": 2}, {"top_p": 0.5}):
            out = self.generate(self.fixed(logits), batch, **numbers)
            made = set(out.ids[out.generated].tolist())
            assert not made & set(self.suppress_tokens)

    def test_eos_can_be_generated(self) -> None:
        """Also if it shares its id with PAD and BOS."""
        if self.tokens.eos in self.suppress_tokens:
            return  # it is given
        logits = torch.zeros(self.tokens.vocab_size)
        eos = self.tokens.eos
        logits[eos] = 20.0
        for tokens in (self.tokens, replace(self.tokens, pad=eos, bos=eos)):
            predictor = self.family.predictor(tokens, **self.plain)
            out = predictor.generate(self.fixed(logits), self.prompts(PROMPTS))
            assert out.answers(eos) == [[], [], []]

    def test_same_seed_gives_same_ids(self) -> None:
        batch = self.prompts(PROMPTS, repeat=30)
        one, same, other = (
            self.generate(self.oracle(self.toy()), batch, seed=s).ids for s in (1, 1, 2)
        )
        assert one.equal(same)
        assert not one.equal(other)

    def test_forward_passes_are_counted(self) -> None:
        oracle = self.oracle(self.toy())
        out = self.generate(oracle, self.prompts(PROMPTS, repeat=5))
        assert out.forward_passes == oracle.calls > 0

    def test_gradients_are_disabled(self) -> None:
        oracle = self.oracle(self.toy())
        self.generate(oracle, self.prompts(PROMPTS))
        assert not oracle.grad_enabled

    def test_replayed_trace_gives_result(self) -> None:
        batch = self.prompts(PROMPTS, repeat=5)
        out = self.generate(self.oracle(self.toy()), batch, trace=True)
        silent = self.generate(self.oracle(self.toy()), batch)
        assert out.ids.equal(silent.ids)
        assert out.trace is not None
        assert out.trace.step.equal(out.trace.step.sort().values)
        ids = self.start(batch, out).clone()
        written = torch.zeros_like(out.generated)
        for row, position, token in zip(
            out.trace.row, out.trace.position, out.trace.token, strict=True
        ):
            ids[row, position] = token
            written[row, position] = True
        assert ids.equal(out.ids)
        assert written.equal(out.generated)

    def test_temperature_zero_takes_most_likely_token(self) -> None:
        counts = self.first_tokens(LOGITS, temperature=0.0)
        assert counts.nonzero().flatten().tolist() == [6]

    def test_temperature_divides_the_logits(self) -> None:
        counts = self.first_tokens(LOGITS, temperature=2.0)
        assert p_value(counts, self.softmax([v / 2 for v in LOGITS])) > LEAST

    def test_temperature_one_samples_network_distribution(self) -> None:
        assert p_value(self.first_tokens(LOGITS), self.softmax(LOGITS)) > LEAST

    def test_top_k_keeps_k_most_likely_tokens(self) -> None:
        probs = self.softmax(LOGITS)
        kept = sorted(range(len(probs)), key=lambda v: -float(probs[v]))[:2]
        counts = self.first_tokens(LOGITS, top_k=2)
        assert p_value(counts, only(probs, kept)) > LEAST

    def test_top_p_keeps_token_that_crosses_p(self) -> None:
        """top_p keeps the smallest set whose cumulative probability reaches p."""
        probs = self.softmax(LOGITS)
        for p in (0.3, 0.6, 0.9):
            kept: list[int] = []
            for token in sorted(range(len(probs)), key=lambda v: -float(probs[v])):
                if sum(float(probs[v]) for v in kept) < p:
                    kept.append(token)
            counts = self.first_tokens(LOGITS, top_p=p)
            assert p_value(counts, only(probs, kept)) > LEAST

    def test_tokens_of_tiny_probability_are_drawn(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Tokens 6 and 7 have probability 10⁻⁸ each; checks draws in their range.

        With such a draw no noisy token stays, though noise may leave a little signal.
        """
        if self.ratios:
            pytest.skip("ratios of nearly pure noise resolve no such probability")
        logits = torch.full((self.tokens.vocab_size,), -60.0)
        logits[5:] = torch.tensor([1.0, 1e-8, 1e-8]).log()
        for token, from_the_end in ((6, 1.5e-8), (7, 0.5e-8)):
            for module in (sampling, noisy):
                monkeypatch.setattr(module, "uniform", always(1 - from_the_end))
            counts = self.first_tokens(logits.tolist(), **self.one_draw)
            assert counts[token] == counts.sum() > 0

    def softmax(self, logits: list[float]) -> Tensor:
        """Compute probabilities (V,) of the ids that can be generated, in float64."""
        probs = torch.tensor(logits, dtype=torch.float64).exp()
        probs[list(self.suppress_tokens)] = 0
        return probs / probs.sum()


LOGITS = [0.3, 1.5, -0.4, 2.5, 1.2, 0.2, 1.0, -0.5]
"""MASK and BOS have the highest logits, then 6."""


def always(draw: float) -> Callable[..., Tensor]:
    """Make a `uniform` that always draws the same number."""

    def uniform(shape: Sequence[int], *_: object) -> Tensor:
        return torch.full(tuple(shape), draw, dtype=torch.float64)

    return uniform


def only(probs: Tensor, kept: list[int]) -> Tensor:
    """Restrict probabilities (V,) to some ids."""
    confined = torch.zeros_like(probs)
    confined[kept] = probs[kept]
    return confined / confined.sum()


def confined(
    probs: Tensor, temperature: float, top_k: int | None, top_p: float | None
) -> Tensor:
    """Apply temperature, then top_k, then top_p to probabilities (N,)."""
    if temperature == 0:
        return only(probs, [int(probs.argmax())])
    probs = probs ** (1 / temperature)
    probs = probs / probs.sum()
    ranked = sorted(range(len(probs)), key=lambda i: -float(probs[i]))
    if top_k is not None:
        probs = only(probs, ranked[:top_k])
    if top_p is not None:
        kept: list[int] = []
        for place in ranked:
            if sum(float(probs[i]) for i in kept) < top_p:
                kept.append(place)
        probs = only(probs, kept)
    return probs
