"""Nats per data token: the same for every family, whatever its padding."""

import json
import math

import pytest

from xlmgen.cli import main
from xlmgen.evaluation.data_tokens import count_tokens


@pytest.mark.parametrize(
    ("layout", "example", "tokens"),
    [
        ("seq2seq", {"prompt": [5, 6, 7], "target": [8, 9]}, 3),  # and its EOS
        ("lm", {"tokens": [5, 6, 7]}, 4),
        ("lm", {"tokens": [1, 6, 2, 7], "packed": True}, 3),  # without its BOS
        (
            "lm",
            {"tokens": [1, 6, 2, 1, 7], "packed": True, "documents": [1, 1, 1, 2, 2]},
            3,
        ),
        ("infill", {"tokens": [5, 6, 7], "given": [1, 0, 0]}, 2),
    ],
)
def test_predicted_tokens_are_counted(layout, example, tokens):
    assert count_tokens(example, layout) == tokens


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "kind", "own_tokens"),
    [("arlm", "nll", (4.5 + 1) * 120), ("mdlm", "nll_bound", 12 * 120)],
)
def test_eval_reports_nats_per_data_token_next_to_family_metrics(
    text_project, family, kind, own_tokens
):
    """120 rows of 4.5 words; the masked model predicts every pad of 12 positions."""
    assert main(["train", "run.yaml", f"family={family}", "--run-dir", "run"]) == 0
    assert main(["eval", "run"]) == 0
    loss = json.loads((text_project / "run/results/test.json").read_text())["loss"]
    total = loss[f"sequence_{kind}"] * 120
    assert loss[kind] == pytest.approx(total / own_tokens, rel=1e-4)
    assert loss[f"data_{kind}"] == pytest.approx(total / (5.5 * 120), rel=1e-4)
    assert math.log(loss[f"data_{kind.replace('nll', 'perplexity')}"]) == pytest.approx(
        loss[f"data_{kind}"]
    )
    lines = (text_project / "run/results/test.rows.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert sum(row["nats"] for row in rows) == pytest.approx(total, rel=1e-4)
    assert sum(row["tokens"] for row in rows) == 5.5 * 120
