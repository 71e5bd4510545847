"""Loss of a split: every row as often as requested, with its standard error."""

import math
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from xlmgen.evaluation.data_tokens import digest, likelihood_rows
from xlmgen.evaluation.likelihood import SplitRows, measure_split, requests
from xlmgen.experiment import resolve
from xlmgen.runs.build import build
from xlmgen.runs.run import Run
from xlmgen.training.train import train


@given(rows=st.integers(1, 40), draws=st.integers(1, 20), batch_size=st.integers(1, 17))
def test_every_row_is_drawn_equally_often(rows, draws, batch_size):
    plan = list(requests(rows, draws, batch_size, "test"))
    counts = Counter(row for request in plan for row in request.rows)
    assert counts == dict.fromkeys(range(rows), draws)
    assert max(len(request.rows) for request in plan) <= batch_size
    assert len({request.seed for request in plan}) == len(plan)


def test_draws_of_each_row_are_evenly_spaced_in_batch():
    """A collator spreads noise times by position in the batch, so each row's spread."""
    (request,) = requests(rows=3, draws=4, batch_size=12, split="test")
    for row in range(3):
        places = [i for i, r in enumerate(request.rows) if r == row]
        assert [b - a for a, b in pairwise(places)] == [3, 3, 3]


@pytest.fixture
def parts(project):
    train(resolve("toy.yaml"), Path("run"), Console(quiet=True))
    run = Run.open("run")
    parts = build(run)
    parts.load(run.checkpoint()[1])
    return parts


def measured(parts, rows=41, batch_size=16, draws=6):
    examples = parts.task.examples("test")
    collator = parts.data.collator("seq2seq", evaluation=True)
    return measure_split(
        parts.measure,
        parts.metrics,
        SplitRows("test", examples, collator, rows, batch_size),
        draws=draws,
        device=torch.device("cpu"),
    )


def losses(parts, rows=41):
    """Loss of every row by a plain loop over rows."""
    collator = parts.data.collator("seq2seq", evaluation=True)
    outputs = []
    with torch.inference_mode():
        for row in range(rows):
            batch = collator([parts.task.examples("test")[row]])
            outputs.append(parts.measure(batch))
    return torch.cat([o["row_loss"] for o in outputs]), torch.cat(
        [o["normalizer"] for o in outputs]
    )


def test_deterministic_loss_is_measured_once_per_row(parts):
    found = measured(parts)
    nll, tokens = losses(parts)
    assert found.draws == 1
    assert found.monte_carlo_error == 0
    assert found.metrics["loss"] == pytest.approx(float(nll.sum() / tokens.sum()))
    assert found.metrics["nll"] == pytest.approx(found.metrics["loss"])
    # All answers have five tokens: the mean's error is that of five-token means.
    by_row = nll.double() / 5
    error = float(by_row.std() / math.sqrt(41))
    assert found.standard_error == pytest.approx(error, rel=1e-5)


@pytest.mark.parametrize("batch_size", [1, 5, 16, 1000])
def test_loss_is_independent_of_batch_size(parts, batch_size):
    expected = measured(parts).metrics["loss"]
    assert measured(parts, batch_size=batch_size).metrics["loss"] == pytest.approx(
        expected, rel=1e-5
    )


def test_limit_measures_first_rows(parts):
    nll, tokens = losses(parts, 7)
    expected = float(nll.sum() / tokens.sum())
    assert measured(parts, rows=7).metrics["loss"] == pytest.approx(expected)


def test_random_loss_is_drawn_as_often_as_requested(parts):
    """Noise of standard deviation σ per row leaves σ / √draws per row in the mean."""
    exact = measured(parts).metrics["loss"]
    parts.loss.noise = 2.0
    few, many = measured(parts, draws=4), measured(parts, draws=100)
    assert (few.draws, many.draws) == (4, 100)
    expected = 2.0 / math.sqrt(41 * 100) / 5
    assert many.monte_carlo_error == pytest.approx(expected, rel=0.15)
    assert few.monte_carlo_error == pytest.approx(5 * expected, rel=0.4)
    assert abs(many.metrics["loss"] - exact) < 4 * many.monte_carlo_error
    assert measured(parts, draws=100) == many  # the draws are fixed


def test_standard_error_of_one_row_is_nan(parts):
    assert math.isnan(measured(parts, rows=1).standard_error)


def test_likelihoods_of_rows_add_up_to_that_of_the_split(parts, project):
    found = measured(parts)
    rows = list(likelihood_rows(found, parts.task.examples("test"), "seq2seq"))
    assert [row["row"] for row in rows] == list(range(41))
    assert [row["nats"] for row in rows] == pytest.approx(
        losses(parts)[0].tolist(), rel=1e-5
    )
    nats = sum(row["nats"] for row in rows) / sum(row["tokens"] for row in rows)
    assert nats == pytest.approx(found.metrics["nll"])  # five tokens in each row


def test_examples_with_equal_ids_have_equal_digests():
    one = {"prompt": [1, 2], "target": [3]}
    assert digest(one) == digest({"target": torch.tensor([3]), "prompt": [1, 2]})
    assert digest(one) != digest({"prompt": [1], "target": [2, 3]})
    assert digest(one) != digest({"prompt": [1, 2], "target": [4]})
