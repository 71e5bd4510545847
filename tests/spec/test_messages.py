"""Messages: suggestions, and values of any length."""

from pathlib import Path

import pytest

from xlmgen.errors import LONGEST_MESSAGE, UserError, shortened
from xlmgen.spec.document import Span, diagnose
from xlmgen.spec.messages import closest, did_you_mean, show, similar_path
from xlmgen.spec.schemas import built_in

TRAINING = built_in().schema("experiment")["properties"]["training"]["properties"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("lr", "learning_rate"),
        ("learn_rate", "learning_rate"),
        ("learnig_rate", "learning_rate"),
        ("Learning-Rate", "learning_rate"),
        ("val_every", "validate_every"),
        ("grad_clip", "gradient_clip"),
        ("clip", "gradient_clip"),
        ("bs", "batch_size"),
        ("batch", "batch_size"),
        ("sched", "schedule"),
        ("warmup", "warmup_steps"),
        ("num_steps", "max_steps"),
        ("min_lr", "min_lr_ratio"),
        ("colour", None),
    ],
)
def test_abbreviated_or_misspelt_key_gets_suggestion(typed, meant):
    assert closest(typed, TRAINING) == meant


@pytest.mark.parametrize("typed", list(TRAINING))
def test_suggestion_differs_from_word(typed):
    assert closest(typed, TRAINING) != typed
    assert did_you_mean(typed, [typed]) == ""


def test_existing_path_is_not_suggested(tmp_path):
    (tmp_path / "e.yaml").touch()
    assert similar_path(tmp_path / "e.yaml") == "check the path"
    assert similar_path(tmp_path / "f.yaml") == f"did you mean '{tmp_path}/e.yaml'?"
    assert similar_path(tmp_path / "f.yaml", folder=True) == "check the path"


def test_shortened_text_keeps_both_ends():
    assert shortened("x" * 10, 10) == "x" * 10
    for most in range(20, 40):
        text = shortened("start" + "x" * 200_000 + "end", most)
        assert len(text) == most
        assert text.startswith("start")
        assert text.endswith("end")


def test_messages_shorten_long_values():
    long = "x" * 200_000
    error = UserError(f"d.jsonl:3: {long} is not a text", f"write {long}")
    assert len(str(error)) <= 2 * LONGEST_MESSAGE + 2
    assert str(error).startswith("d.jsonl:3: xxx")
    assert "is not a text; write" in str(error)
    found = diagnose("f", [], Span(1, 1, 1, 1), "XG104", "loss", long, long)
    assert len(found.text) <= 2 * LONGEST_MESSAGE + 20
    assert max(len(show(value)) for value in (long, [long], {"a": long})) <= 60


def test_similar_folder_is_suggested(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs").mkdir()
    assert similar_path(Path("rnus/mine")) == "did you mean 'runs'?"
