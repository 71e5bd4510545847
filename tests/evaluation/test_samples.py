"""Statistics of sample sets against counts by hand, and in `xlmgen eval`."""

import json
import math

import numpy as np
import pytest

from xlmgen.cli import main
from xlmgen.data.task import load_task
from xlmgen.evaluation.samples import Samples, data_ids, describe


def samples(*ids, train=()):
    return Samples(ids, lambda row: " ".join(map(str, row)), lambda rows: train[:rows])


def numbers(metric, *ids, **options):
    return describe(samples(*ids, **options), [metric])


def test_distinct_n_counts_over_all_samples():
    found = numbers("distinct_n", [1, 2, 1, 2], [1, 2], [])
    # unigrams 1 2 1 2 1 2; bigrams 12 21 12 12; trigrams 121 212; one of four tokens
    assert found == {
        "distinct_1": 2 / 6,
        "distinct_2": 2 / 4,
        "distinct_3": 1.0,
        "distinct_4": 1.0,
    }
    assert math.isnan(numbers("distinct_n", [1], [])["distinct_2"])


def test_unigram_entropy_is_mean_over_samples_including_empty():
    # Pooled, the first two would be uniform over two tokens, with entropy ln 2.
    found = numbers("unigram_entropy", [1, 1, 1], [2, 2, 2], [1, 2, 3, 4], [])
    assert found == {"unigram_entropy": pytest.approx(math.log(4) / 4)}
    found = numbers("unigram_entropy", [5, 5, 5, 6])
    by_hand = -0.75 * math.log(0.75) - 0.25 * math.log(0.25)
    assert found["unigram_entropy"] == pytest.approx(by_hand)


def test_length_includes_empty_samples():
    assert numbers("length", [1, 2, 3, 4, 5, 6], [1, 2], [], []) == {
        "length_mean": 2.0,
        "length_deviation": pytest.approx(math.sqrt(6)),
        "length_min": 0.0,
        "length_median": 1.0,
        "length_max": 6.0,
        "empty": 0.5,
    }


def test_repetition_is_counted_within_samples():
    once, twice = [1, 2, 3, 4, 5], [7, 7, 7, 7, 7, 7]  # 2 of 2, 1 of 3 are new
    assert numbers("repetition", once, twice, [1, 2]) == {
        "repetition_4": pytest.approx((0 + 2 / 3) / 2)
    }
    assert numbers("repetition", once, once) == {"repetition_4": 0.0}
    assert math.isnan(numbers("repetition", [1, 2, 3])["repetition_4"])


def test_novelty_is_over_all_samples():
    found = numbers("novelty", [1], [1], [2], [3], train=[[2], [9]])
    assert found == {"different": 3 / 4, "different_new": 2 / 4}


def test_data_ids_are_cut_at_eos_like_samples(text_project):
    task = load_task("words.yaml")
    eos = task.tokenizer.special.eos
    whole = data_ids(task, "test")
    assert len(whole) == 120
    assert [task.decode(ids) for ids in whole[:2]] == ["the cat sat", "sea the cat sat"]
    words = (text_project / "words.yaml").read_text()
    for packing in ("packed", "documents"):
        (text_project / "packed.yaml").write_text(words + f"packing: {packing}\n")
        rows = data_ids(load_task("packed.yaml"), "test", 3)
        assert task.decode(rows[0]) == "the cat sat"
        assert all(
            eos not in ids and task.tokenizer.special.bos not in ids for ids in rows
        )


def test_eval_describes_as_many_samples_as_the_split_has_rows(text_project, capsys):
    assert main(["train", "run.yaml", "--run-dir", "run"]) == 0
    assert "val/distinct" not in capsys.readouterr().out
    assert main(["eval", "run"]) == 0
    out = capsys.readouterr().out
    lines = (text_project / "run/predictions/test.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["row"] for row in rows] == list(range(120))
    results = json.loads((text_project / "run/results/test.json").read_text())
    texts = [row["prediction"] for row in rows]
    lengths = [len(text.split()) for text in texts]
    assert results["samples"]["length_mean"] == pytest.approx(np.mean(lengths))
    assert results["samples"]["different"] == len(set(texts)) / 120
    # The split equals train here: none of its rows is new, but samples are.
    assert results["data"]["length_mean"] == pytest.approx(4.5)
    assert results["data"]["different_new"] == 0 < results["samples"]["different_new"]
    assert "scores" not in results
    assert f"{results['samples']['unigram_entropy']:.4f}" in out
    assert main(["eval", "run", "--limit", "7"]) == 0
    limited = json.loads((text_project / "run/results/test-limit=7.json").read_text())
    assert limited["data"]["length_mean"] == pytest.approx(
        (3 + 4 + 5 + 6 + 3 + 4 + 5) / 7
    )


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            "[exact_match]",
            "'exact_match' compares answers, which the layout lm does not have",
        ),
        ("[exact_mach]", "did you mean 'exact_match'?"),
        ("[length, length]", "the same item twice"),
    ],
)
def test_metric_of_another_layout_is_refused_once(
    text_project, capsys, metrics, message
):
    text = (text_project / "words.yaml").read_text().partition("metrics:")[0]
    text += f"metrics: {metrics}\n"
    (text_project / "words.yaml").write_text(text)
    assert main(["check", "words.yaml"]) == 1
    out = capsys.readouterr().out
    assert message in out
    assert out.count("XG1") == 1
    if metrics == "[exact_match]":
        (text_project / "words.yaml").write_text(
            text.replace("layout: lm", "layout: seq2seq")
            .replace("{length: 12}", "{prompt: 4, answer: 4}")
            .replace("exact_match", "repetition")
        )
        assert main(["check", "words.yaml"]) == 1
        assert "'repetition' describes sequences" in capsys.readouterr().out
