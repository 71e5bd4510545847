"""Scores: the entire target counts, and nothing after the answer does."""

from dataclasses import replace

import numpy as np
import pytest

from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.evaluation.scores import METRICS, SHARES, is_correct, score, score_rows
from xlmgen.spec import generators as rules


@pytest.fixture(scope="module")
def task():
    return load_task("star_tiny")


def pair(target, prompt=(5, 6, 5, 6)):
    return {"prompt": np.array(prompt), "target": np.array(target)}


@pytest.mark.parametrize(
    ("answer", "exact", "accuracy"),
    [
        ([1, 2, 3, 4], 1, 1),
        ([1, 2, 3], 0, 3 / 4),  # correct so far, but too short
        ([], 0, 0),
        ([1, 2, 3, 4, 5], 0, 4 / 5),  # too long
        ([1, 2, 4, 3], 0, 2 / 4),
        ([2, 3, 4], 0, 0),  # shifted by one
    ],
)
def test_exact_match_and_token_accuracy_equal_hand_counts(
    task, answer, exact, accuracy
):
    rows = score_rows(task, [pair([1, 2, 3, 4])], [answer])
    assert rows["exact_match"] == [exact]
    assert rows["token_accuracy"] == [accuracy]


def test_empty_target_needs_empty_answer(task):
    rows = score_rows(task, [pair([])] * 2, [[], [7]])
    assert rows["exact_match"] == [1, 0]
    assert rows["token_accuracy"] == [1, 0]


def test_mean_is_over_all_rows(task):
    examples = [pair([1, 2]), pair([3, 4]), pair([5, 6])]
    scores = score(task, examples, [[1, 2], [3, 9], [5, 6]])
    assert scores["exact_match"] == pytest.approx(2 / 3)
    assert scores["token_accuracy"] == pytest.approx(5 / 6)
    assert list(scores) == list(task.metrics)


def test_targets_of_task_score_one(task):
    examples = task.examples("validation")
    answers = [example["target"].tolist() for example in examples]
    assert score(task, examples, answers) == dict.fromkeys(task.metrics, 1.0)
    others = [*answers[1:], answers[0]]
    assert score(task, examples, others)["valid_path"] < 0.1


def test_only_holes_of_infill_are_scored():
    task = replace(load_task("star_tiny"), metrics=("exact_match", "token_accuracy"))
    example = {"tokens": np.array([7, 8, 9, 8]), "given": np.array([1, 0, 1, 0])}
    rows = score_rows(task, [example] * 2, [[8, 8], [8, 7]])
    assert rows == {"exact_match": [1, 0], "token_accuracy": [1, 0.5]}


def test_other_answer_that_meets_the_rules_is_correct():
    """By the rules of the generator, for any order of the metrics."""
    queens = load_task("n_queens_tiny")
    encode = queens.tokenizer.encode
    board = ". . Q . . Q . . . . . . . Q . . Q . . . . . . . Q"
    other = " ".join(reversed(board.split()))
    example = {"tokens": np.array(encode(board)), "given": np.zeros(25, dtype=int)}
    for metrics in (queens.metrics, queens.metrics[::-1]):
        task = replace(queens, metrics=metrics)
        assert is_correct(task, example, encode(board))
        assert is_correct(task, example, encode(other))
        assert not is_correct(task, example, encode(other)[:-1])
    plain = replace(queens, metrics=("token_accuracy",))
    assert is_correct(plain, example, encode(board))
    assert not is_correct(plain, example, encode(other))


def test_text_metrics_get_decoded_answers(task):
    task = replace(task, metrics=("numeric_match", "exact_match"))
    examples = [pair([8, 7]), pair([8, 7]), pair([9, 7])]  # "3 2", "3 2", "4 2"
    rows = score_rows(task, examples, [[9, 7], [7, 8], []])  # the last number counts
    assert rows == {"numeric_match": [1, 0, 0], "exact_match": [0, 0, 0]}


def test_different_numbers_of_answers_and_examples_are_refused(task):
    with pytest.raises(ValueError, match="shorter"):
        score(task, [pair([1]), pair([2])], [[1]])
    with pytest.raises(UserError, match="no examples to score"):
        score(task, [], [])


def test_schema_and_metrics_agree():
    import json

    from xlmgen import resources

    schema = json.loads((resources.root() / "schemas/task.schema.json").read_text())
    ours, _ = schema["properties"]["metrics"]["items"]["oneOf"]
    assert ours["enum"] == list(METRICS)
    by_rules, of_samples = rules.metrics(), set(METRICS) - set(SHARES)
    kinds = schema["$defs"]
    assert set(kinds["sample_metric"]["enum"]) == of_samples
    assert kinds["answer_metric"]["enum"] == [m for m in SHARES if m not in by_rules]
    assert all(callable(metric.load()) for metric in METRICS.values())
