"""Generative perplexity against a plain loop over tokens, on tiny random models."""

import json
import math

import pytest
import tokenizers
import torch

from xlmgen.cli import main
from xlmgen.errors import UserError
from xlmgen.evaluation.evaluator import BATCH, Evaluator

transformers = pytest.importorskip("transformers")
TEXTS = ["ab", "", "a", "the cat sat", "<s>", "long " * 9, "b" * 7, "é"]
CONTEXT = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two byte-level models: one whose BOS is its EOS, one without a BOS."""
    root = tmp_path_factory.mktemp("evaluators")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(
        tokenizers.models.BPE({c: i for i, c in enumerate(alphabet)}, [])
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    torch.manual_seed(0)
    for name, special in (
        ("gpt2", {"bos_token": "<s>", "eos_token": "<s>"}),
        ("qwen2", {"eos_token": "<s>"}),
    ):
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=backend, **special
        ).save_pretrained(root / name)
    small = {"vocab_size": 257, "initializer_range": 0.5}
    models = {
        "gpt2": transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                **small, n_positions=CONTEXT, n_embd=16, n_layer=2, n_head=2
            )
        ),
        "qwen2": transformers.Qwen2ForCausalLM(
            transformers.Qwen2Config(
                **small,
                max_position_embeddings=CONTEXT,
                hidden_size=16,
                intermediate_size=32,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
            )
        ),
    }
    for name, model in models.items():
        model.save_pretrained(root / name)
    return root


def load(folder):
    evaluator = Evaluator.load(folder, torch.device("cpu"))
    evaluator.model.double()
    return evaluator


def perplexity_by_loop(evaluator, texts, bos):
    """Score one token at a time, each with the full context of its window."""
    total, count, half = 0.0, 0, CONTEXT // 2
    for text in texts:
        ids = [*bos, *evaluator.tokenizer.backend_tokenizer.encode(text).ids]
        if text == "<s>":  # as plain text, not the special token
            ids = [*bos, *(evaluator.encode(c)[0] for c in text)]
        for place in range(1, len(ids)):
            behind = max(0, place - CONTEXT)  # longer than the first window
            start = half * (behind // half + 1) if place >= CONTEXT else 0
            logits = evaluator.model(torch.tensor([ids[start:place]])).logits[0, -1]
            total -= float(logits.log_softmax(-1)[ids[place]])
            count += 1
    return total, count


@pytest.mark.parametrize(("name", "bos"), [("gpt2", [256]), ("qwen2", [])])
def test_perplexity_equals_loop_over_tokens(folder, name, bos):
    evaluator = load(folder / name)
    assert evaluator.window == CONTEXT
    with torch.inference_mode():
        total, count = perplexity_by_loop(evaluator, TEXTS, bos)
    found = evaluator.perplexity(TEXTS)
    # With a BOS every token counts; without one all but the first of every text.
    tokens = sum(len(text.encode()) for text in TEXTS)
    assert count == (tokens if bos else tokens - 7)
    assert found["evaluator_tokens"] == count
    assert found["generative_nll"] == pytest.approx(total / count, rel=1e-6)
    assert found["generative_perplexity"] == pytest.approx(math.exp(total / count))
    # The mean is over tokens, which differs from a mean over texts.
    alone = [evaluator.perplexity([text])["generative_nll"] for text in TEXTS]
    alone = [value for value in alone if not math.isnan(value)]
    assert abs(sum(alone) / len(alone) - found["generative_nll"]) > 0.01


def test_perplexity_is_independent_of_batching(folder, monkeypatch):
    evaluator = load(folder / "gpt2")
    together = evaluator.perplexity(TEXTS)
    assert len(TEXTS) * CONTEXT < BATCH
    monkeypatch.setattr("xlmgen.evaluation.evaluator.BATCH", 1)
    assert evaluator.perplexity(TEXTS) == pytest.approx(together, rel=1e-6)


def test_texts_without_scored_tokens_give_nan(folder):
    found = load(folder / "gpt2").perplexity(["", ""])
    assert found["evaluator_tokens"] == 0
    assert math.isnan(found["generative_perplexity"])
    # Without a BOS a single token has no context and is not scored.
    assert load(folder / "qwen2").perplexity(["a"])["evaluator_tokens"] == 0


def test_features_are_states_of_last_tokens(folder):
    evaluator = load(folder / "gpt2")
    found = evaluator.features(TEXTS)
    assert found.shape == (len(TEXTS), 16)
    with torch.inference_mode():
        for row, text in enumerate(TEXTS):
            ids = torch.tensor([evaluator.encode(text)[:CONTEXT] or [256]])
            states = evaluator.model(ids, output_hidden_states=True).hidden_states[-1]
            torch.testing.assert_close(found[row], states[0, -1].float())


@pytest.mark.filterwarnings("ignore")  # warnings of faiss
def test_mauve_of_identical_texts_is_high(folder):
    pytest.importorskip("mauve")
    from xlmgen.evaluation.evaluator import mauve

    evaluator = load(folder / "gpt2")
    data = [f"text number {n}" for n in range(40)]
    same = [f"text number {n}" for n in range(40, 80)]
    other = [f"{n} and {n}" for n in range(40)]
    scores = [mauve(evaluator, texts, data) for texts in (same, other)]
    assert 1 >= scores[0] > scores[1] > 0


@pytest.mark.slow
def test_eval_reports_perplexity_of_generated_texts(text_project, folder, capsys):
    assert main(["train", "run.yaml", "--run-dir", "run"]) == 0
    options = ["--limit", "30", "--evaluator"]
    assert main(["eval", "run", *options, str(folder / "gpt2")]) == 0
    out = capsys.readouterr().out
    name = "test-limit=30-evaluator=gpt2"
    results = json.loads((text_project / f"run/results/{name}.json").read_text())
    lines = (text_project / f"run/predictions/{name}.jsonl").read_text().splitlines()
    texts = [json.loads(line)["prediction"] for line in lines]
    expected = Evaluator.load(folder / "gpt2", torch.device("cpu")).perplexity(texts)
    found = {key: results["samples"][key] for key in expected}
    assert found == pytest.approx(expected, rel=1e-5)
    assert results["data"]["evaluator_tokens"] == sum(
        len(line) for line in (text_project / "lines.txt").read_text().split("\n")[:30]
    )
    assert f"{found['generative_perplexity']:.4f}" in out
    for arguments, message in (
        (["--evaluator", "nowhere"], "it has no config.json"),
        (["--mauve"], "name the folder of one with --evaluator"),
    ):
        assert main(["eval", "run", *arguments]) == 2
        assert message in capsys.readouterr().err


def test_folder_without_causal_model_is_refused(folder, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nothing"}')
    with pytest.raises(UserError, match=r"--evaluator .*: "):
        load(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"--evaluator .*: "):
        load(tmp_path)
    for path in (folder / "gpt2").iterdir():
        if path.suffix != ".safetensors":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")  # a pickle
    with pytest.raises(UserError, match=r"weights as \.safetensors"):
        load(tmp_path)
