"""Tests of generation by inserting and revealing masks."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from xlmgen.testing.growth import SCORES, Step, growth_law
from xlmgen.testing.schedule import event_schedule
from xlmgen.testing.statistics import p_value, total_variation
from xlmgen.testing.suites.growing import GrowingSubject
from xlmgen.testing.suites.predictor import LEAST, PROMPTS, Batch
from xlmgen.testing.toy import ANSWER, Toy

REPEAT = 1500


class MaskAndInsertTests(GrowingSubject):
    """Rows grow only in free gaps, within their limit, and end without masks."""

    def test_only_free_gaps_grow(self) -> None:
        batch = self.holes()
        for seed in range(10):
            out = self.generate(self.network(seed), batch, seed=seed, steps=9)
            for row, (ids, free) in enumerate(
                zip(batch["input_ids"], batch["insertable"], strict=True)
            ):
                length = int((ids != self.tokens.pad).sum())
                behind, grown = -1, set()
                for column, new in enumerate(out.generated[row].tolist()):
                    if new:
                        grown.add(behind)
                    elif behind + 1 < length:
                        behind += 1
                        assert out.ids[row, column] == ids[behind]
                    else:
                        assert out.ids[row, column] == self.tokens.pad
                assert grown <= set(free.nonzero().flatten().tolist())

    def test_no_masks_remain_for_any_number_of_steps(self) -> None:
        for steps in (1, 2, 7):
            for batch in (self.holes(), self.prompts([(), *PROMPTS], 10)):
                out = self.generate(self.network(), batch, steps=steps)
                assert not (out.ids == self.tokens.mask).any()

    def test_default_options_leave_no_masks(self) -> None:
        out = self.family.predictor(self.tokens).generate(self.network(), self.holes())
        assert not (out.ids == self.tokens.mask).any()

    def test_row_receives_as_many_tokens_as_fit(self) -> None:
        """Also for large expectations; nothing follows EOS."""
        room = ANSWER - int(self.ended)
        batch = self.prompts(PROMPTS, 10)
        for steps in (1, 5):
            for most in (None, 1):
                model = self.fixed(torch.zeros(self.tokens.vocab_size))
                out = self.generate(model, batch, steps=steps, max_new_tokens=most)
                if self.longest is None or self.longest >= room:
                    assert (out.generated.sum(1) == (most or room)).all()
                assert (out.generated.sum(1) <= (most or room)).all()
                self.check_end(batch, out.ids)

    def test_rows_have_their_own_limits(self) -> None:
        batch = self.prompts([(5,)], 3)
        batch["max_insertions"] = torch.tensor([0, 2, 1])
        model = self.fixed(torch.zeros(self.tokens.vocab_size))
        out = self.generate(model, batch, steps=4)
        if self.longest is None or self.longest >= 2:
            assert out.generated.sum(1).tolist() == [0, 2, 1]

    def test_only_pads_follow_eos(self) -> None:
        batch = self.prompts(PROMPTS, 30)
        self.check_end(batch, self.generate(self.network(), batch).ids)

    def test_every_mask_is_revealed_once(self) -> None:
        """A mask is inserted, later becomes a token, and is then unchanged."""
        batch = self.prompts(PROMPTS, 20)
        out = self.generate(self.network(), batch, steps=12, trace=True)
        assert out.trace is not None
        written: dict[tuple[int, int], list[tuple[int, bool]]] = {}
        for step, row, position, token in zip(
            out.trace.step.tolist(),
            out.trace.row.tolist(),
            out.trace.position.tolist(),
            out.trace.token.tolist(),
            strict=True,
        ):
            is_mask = token == self.tokens.mask
            written.setdefault((row, position), []).append((step, is_mask))
        assert written
        for events in written.values():
            assert [is_mask for _, is_mask in events] == [True, False]
            assert events[0][0] < events[1][0]

    def test_reveals_per_step_match_schedule(self) -> None:
        """Checks the average over rows in every step, for any order."""
        steps, rows = 7, 600
        model = self.fixed(torch.zeros(self.tokens.vocab_size))
        batch = self.prompts([(5,)], rows)
        trace = self.generate(model, batch, steps=steps, trace=True).trace
        assert trace is not None
        is_mask = trace.token == self.tokens.mask
        inserted = trace.step[is_mask].bincount(minlength=steps + 1)
        revealed = trace.step[~is_mask].bincount(minlength=steps + 1)
        masked = (inserted - revealed).cumsum(0)  # after every step
        unmask, some = event_schedule(self.spec, "unmask"), 0
        for step in range(1, steps - 1):
            now, then = (unmask.noise(double(1 - n / steps)) for n in (step, step + 1))
            expected = float(masked[step - 1] * (1 - then / now))
            # A row has at most three masks, so the variance of its number is below 3/4.
            error = (rows * 3 / 4) ** 0.5
            assert abs(float(revealed[step]) - expected) < 5 * error
            some += expected > 5 * error
        assert some

    def test_times_decrease_from_empty_to_data(self) -> None:
        oracle = self.oracle(self.toy())
        self.generate(oracle, self.prompts([(5,)], 200), steps=8)
        times = [float(t[0]) for t in oracle.times]
        assert len(times) in (8, 9)  # one more if the last step inserts
        assert times == pytest.approx([1 - step / 8 for step in range(len(times))])
        assert all((t == t[0]).all() for t in oracle.times)

    def test_passes_are_steps_plus_one(self) -> None:
        out = self.generate(self.oracle(self.toy()), self.prompts(PROMPTS), steps=6)
        assert out.forward_passes in (6, 7)

    def test_complete_rows_are_unchanged(self) -> None:
        batch = self.prompts([(5,)], 3)
        batch["insertable"] = batch["insertable"] & torch.tensor(
            [[False], [True], [False]]
        )
        oracle = self.oracle(self.toy())
        out = self.generate(oracle, batch)
        assert {shape[0] for shape in oracle.shapes} == {1}
        assert not out.generated[[0, 2]].any()
        batch["insertable"] = batch["insertable"] & False
        assert self.generate(oracle, batch).forward_passes == 0

    def holes(self) -> Batch:
        """Build rows with no, one and two free gaps."""
        pad = self.tokens.pad
        ids = torch.tensor([[1, 5, 6, 7, 5], [1, 6, 7, pad, pad], [1, 5, 5, 6, pad]])
        free = torch.zeros_like(ids, dtype=torch.bool)
        free[1, 1] = free[2, 0] = free[2, 2] = True
        return {
            "input_ids": ids,
            "attention_mask": ids != pad,
            "insertable": free,
            "max_insertions": torch.tensor([3, 3, 4]),
        }

    def check_end(self, batch: Batch, ids: Tensor) -> None:
        """Check that a given EOS is kept and only pads follow it."""
        if not self.ended:
            return
        for row, before in zip(ids.tolist(), batch["input_ids"].tolist(), strict=True):
            given = [token for token in before if token != self.tokens.pad]
            kept = [token for token in row if token != self.tokens.pad]
            assert kept[: len(given) - 1] == given[:-1]
            assert kept[-1] == self.tokens.eos
            assert row == kept + [self.tokens.pad] * (len(row) - len(kept))


class InsertionLawTests(GrowingSubject):
    """Samples follow the distribution of their steps, which converges to the toy's."""

    @pytest.mark.parametrize("steps", [1, 4, 16])
    def test_samples_follow_the_exact_distribution_of_few_steps(
        self, steps: int
    ) -> None:
        """The exact distribution includes the error of simultaneous changes."""
        if self.spec.predictor.options["order_temperature"] > 0:
            pytest.skip("a noisy order")
        toy = self.toy()
        for prompt in sorted(set(toy.prompts)):
            law = self.law(toy, prompt, steps)
            counts = self.counts(toy, prompt, list(law), steps=steps)
            assert counts.sum() == REPEAT, "a string that has no probability"
            probs = torch.tensor(list(law.values()), dtype=torch.float64)
            assert p_value(counts, probs) > LEAST

    def test_distribution_converges_to_data_with_steps(self) -> None:
        if self.spec.predictor.options["order"] != "random":
            pytest.skip("a heuristic")
        toy = self.toy(prompted=False)
        truth = dict(zip(toy.targets, toy.probs.tolist(), strict=True))
        far = []
        for steps in (4, 16, 64):
            law = self.law(toy, (), steps)
            both = sorted(set(law) | set(truth))
            one, other = (
                torch.tensor([table.get(key, 0.0) for key in both])
                for table in (law, truth)
            )
            far.append(total_variation(one, other))
        assert far[0] > far[1] > far[2]
        assert far[2] < far[0] / 6
        assert far[2] < 0.04

    def law(
        self, toy: Toy, prompt: tuple[int, ...], steps: int
    ) -> dict[tuple[int, ...], float]:
        """Compute the probability of every answer to a prompt."""
        insert, unmask = (
            event_schedule(self.spec, "insert"),
            event_schedule(self.spec, "unmask"),
        )
        plan = []
        for t, s in pairwise(1 - step / steps for step in range(steps + 1)):
            before, after = (float(insert.noise(double(time))) for time in (t, s))
            inserts = before - after
            if self.longest is not None:
                inserts /= before
            reveals = 1 - float(unmask.noise(double(s)) / unmask.noise(double(t)))
            plan.append(Step(t, reveals, inserts))
        order = self.spec.predictor.options["order"]
        return growth_law(
            self.oracle(toy),
            [*prompt, self.tokens.bos],
            [self.tokens.eos] * self.ended,
            ANSWER - int(self.ended),
            plan,
            mask=self.tokens.mask,
            suppress_tokens=self.suppress_tokens,
            score=None if order == "random" else SCORES[order],
        )

    def counts(
        self,
        toy: Toy,
        prompt: tuple[int, ...],
        answers: list[tuple[int, ...]],
        **numbers: Any,
    ) -> Tensor:
        """Count how often each of these answers was generated."""
        batch = self.prompts([prompt], REPEAT)
        out = self.generate(self.oracle(toy), batch, **numbers)
        places = {answer: place for place, answer in enumerate(answers)}
        counts = torch.zeros(len(answers))
        for ids, generated in zip(out.ids, out.generated, strict=True):
            place = places.get(tuple(ids[generated].tolist()))
            if place is not None:
                counts[place] += 1
        return counts


def double(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
