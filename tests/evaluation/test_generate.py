"""Answers to a split: every row once, for any batch size."""

from pathlib import Path

import pytest
import torch
from rich.console import Console

from xlmgen.errors import UserError
from xlmgen.evaluation.generate import generate_answers
from xlmgen.experiment import resolve
from xlmgen.runs.build import build
from xlmgen.runs.predictor import build_predictor
from xlmgen.runs.run import Run
from xlmgen.training.train import train


@pytest.fixture
def parts(project):
    train(resolve("toy.yaml", ["training.max_steps=1"]), Path("r"), Console(quiet=True))
    parts = build(Run.open("r"))
    parts.load(Run.open("r").checkpoint()[1])
    return parts


def answered(parts, batch_size, limit=None):
    parts.data.eval_batch_size = batch_size
    sizes = []
    answers = generate_answers(
        parts.model,
        parts.predictor,
        parts.data.predict_dataloader("test", limit),
        eos=parts.tokens.eos,
        device=torch.device("cpu"),
        seed=0,
        after_batch=sizes.append,
    )
    assert sum(sizes) == len(answers.rows)
    return answers


def test_every_row_is_answered_once_for_any_batch_size(parts):
    whole = answered(parts, 100)
    assert whole.rows == tuple(range(41))
    assert whole.forward_passes == 5
    parted = answered(parts, 8)
    assert parted.rows == whole.rows
    assert parted.ids == whole.ids
    assert parted.forward_passes == 6 * 5


def test_answers_stop_at_eos(parts):
    assert all(parts.tokens.eos not in ids for ids in answered(parts, 16).ids)


def test_limit_answers_first_rows(parts):
    assert answered(parts, 4, limit=6).rows == tuple(range(6))


def test_generate_restores_model_mode(parts):
    parts.model.train()
    answered(parts, 16)
    assert all(module.training for module in parts.model.modules())


def test_unknown_predictor_option_is_refused(parts):
    with pytest.raises(UserError, match="did you mean 'temperature'"):
        build_predictor(parts.family, parts.tokens, {"temprature": 1})
