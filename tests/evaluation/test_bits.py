"""Bits per character of a text, and its unigram entropy."""

import json
import math
from collections import Counter

import numpy as np
import pytest

from xlmgen.cli import main
from xlmgen.data.task import load_task
from xlmgen.evaluation.bits import in_bits, predicted_ids
from xlmgen.evaluation.data_tokens import count_tokens
from xlmgen.evaluation.entropy import entropy
from xlmgen.runtime.special_tokens import SpecialTokens

TASK = """\
spec: xlmgen/task/v1
name: letters
layout: lm
max_length: {length: 8}
source: {files: {train: a.txt, validation: a.txt, test: a.txt}}
tokenizer: {kind: KIND}
packing: PACKING
"""


@pytest.mark.parametrize(
    ("counts", "nats"),
    [([], 0), ([7], 0), ([3, 3], math.log(2)), ([1, 0, 3], 0.5623351446188083)],
)
def test_entropy_equals_known_values(counts, nats):
    assert entropy(counts) == pytest.approx(nats)


@pytest.mark.parametrize(
    ("layout", "example", "ids"),
    [
        ("seq2seq", {"prompt": [5, 6, 7], "target": [8, 9]}, [8, 9, 2]),
        ("lm", {"tokens": [5, 6, 7]}, [5, 6, 7, 2]),
        ("lm", {"tokens": [1, 6, 2, 7], "packed": True}, [6, 2, 7]),
        (
            "lm",
            {"tokens": [1, 6, 2, 1, 7], "packed": True, "documents": [1, 1, 1, 2, 2]},
            [6, 2, 7],
        ),
        ("infill", {"tokens": [5, 6, 7], "given": [1, 0, 0]}, [6, 7]),
    ],
)
def test_predicted_ids_are_the_counted_tokens(layout, example, ids):
    found = predicted_ids(example, layout, SpecialTokens(vocab_size=10))
    assert found.tolist() == ids
    assert len(found) == count_tokens(example, layout)


@pytest.fixture
def letters(tmp_path):
    """Factory of a task with three lines."""
    (tmp_path / "a.txt").write_text("abca\nb\nabab\n")

    def make(kind="character", packing="none"):
        text = TASK.replace("KIND", kind).replace("PACKING", packing)
        (tmp_path / "letters.yaml").write_text(text)
        return load_task(tmp_path / "letters.yaml")

    return make


@pytest.mark.parametrize("packing", ["none", "packed", "documents"])
@pytest.mark.parametrize("kind", ["character", "byte"])
def test_unigram_entropy_counts_characters_and_one_end_per_document(
    letters, kind, packing
):
    task = letters(kind, packing)
    rows = len(task.examples("test"))
    shares = np.array([4, 4, 1, 3]) / 12  # a, b, c, end
    assert in_bits({"data_nll": math.log(2)}, task, "test", rows) == {
        f"bits_per_{kind}": pytest.approx(1),
        f"unigram_bits_per_{kind}": pytest.approx(-(shares * np.log2(shares)).sum()),
    }


def test_unigram_entropy_ignores_unmeasured_rows(letters):
    found = in_bits({"data_nll_bound": 3 * math.log(2)}, letters(), "test", 2)
    counts = Counter("abca." + "b.")
    assert found == {
        "bits_per_character_bound": pytest.approx(3),
        "unigram_bits_per_character": pytest.approx(
            entropy(counts.values()) / math.log(2)
        ),
    }


def test_no_bits_for_word_tokens_or_without_likelihood(letters):
    assert in_bits({"data_nll": 1.0}, letters("whitespace"), "test", 3) == {}
    assert in_bits({}, letters(), "test", 3) == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("arlm", "bits_per_character"),
        ("mdlm", "bits_per_character_bound"),
        ("udlm", "bits_per_character_bound"),
        ("mlm", None),
    ],
)
def test_eval_reports_exact_bits_or_bound(text_project, family, name):
    words = (text_project / "words.yaml").read_text()
    for old, new in (("whitespace", "character"), ("length: 12", "length: 80")):
        words = words.replace(old, new)
    (text_project / "words.yaml").write_text(words)
    assert main(["train", "run.yaml", f"family={family}", "--run-dir", "run"]) == 0
    assert main(["eval", "run", "--limit", "20"]) == 0
    loss = json.loads((text_project / "run/results/test-limit=20.json").read_text())[
        "loss"
    ]
    bits = {key for key in loss if key.startswith("bits_per_")}
    assert bits == ({name} if name else set())
    if name:
        nats = loss[name.replace("bits_per_character", "data_nll")]
        assert loss[name] == pytest.approx(nats / math.log(2))
        assert 2 < loss["unigram_bits_per_character"] < 5
