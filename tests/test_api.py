"""The Python interface gives what the command line gives, and correct numbers."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import xlmgen
from xlmgen.cli import main
from xlmgen.errors import UserError

LM = """\
spec: xlmgen/task/v1
name: letters
layout: lm
max_length: {length: 8}
source: {files: {train: letters.txt, validation: letters.txt, test: letters.txt}}
tokenizer: {kind: character}
metrics: [length]
"""


@pytest.fixture
def letters(project):
    Path("letters.txt").write_text("abc\nbca\ncab\nabca\n" * 10)
    Path("letters.yaml").write_text(LM)
    return project


def train_letters(family):
    experiment = Path(f"{family}.yaml")
    experiment.write_text(
        f"spec: xlmgen/experiment/v1\nfamily: {family}\ntask: ./letters.yaml\n"
        "size: tiny\nmodel: {d_model: 16, num_heads: 2, layers: 1, ffn: 16}\n"
        "training: {max_steps: 5, batch_size: 8, learning_rate: 0.01}\n"
        "evaluation: {batch_size: 7, bound_samples: 4}\nloggers: []\n"
    )
    return xlmgen.train(experiment, quiet=True)


def test_import_does_not_import_torch():
    program = "import sys, xlmgen; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_names_are_found_and_others_are_not():
    assert set(xlmgen.API) <= set(dir(xlmgen))
    assert xlmgen.load is xlmgen.api.load
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        xlmgen.lod  # noqa: B018


def test_training_continues_and_quiet_prints_nothing(project, capsys):
    model = xlmgen.train("toy.yaml", {"training.max_steps": 4}, quiet=True)
    assert model.step == 4
    again = xlmgen.train("toy.yaml", {"training.max_steps": 8}, quiet=True)
    assert again.run.path == model.run.path
    assert max(again.run.resume_point().step, 0) == 8
    assert capsys.readouterr() == ("", "")


def test_answers_equal_those_of_the_command(project):
    model = xlmgen.train("toy.yaml", quiet=True)
    command = ["generate", str(model.run.path), "--out", "out.jsonl", "--seed", "3"]
    rows = [
        model.task.decode(example["prompt"]) for example in model.task.examples("test")
    ][:3]
    assert main([*command, *(f"--prompt={text}" for text in rows)]) == 0
    lines = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    answers = model.generate(rows, seed=3, trace=True)
    assert [a.text for a in answers] == [line["prediction"] for line in lines]
    assert [a.prompt for a in answers] == rows
    for answer in answers:
        assert len(answer.steps) - len(answer.ids) in (0, 1)
        assert set(answer.steps) <= set(range(1, answer.forward_passes + 1))


def test_evaluation_equals_that_of_the_command(project):
    model = xlmgen.train("toy.yaml", quiet=True)
    found = model.evaluate("validation", limit=5)
    file = model.run.path / "results" / "validation-checkpoint=12-limit=5.json"
    assert main(["eval", str(model.run.path), "--split=validation", "--limit=5"]) == 0
    other = json.loads((file.with_name("validation-limit=5.json")).read_text())
    assert found == {**other}


def test_exact_likelihood_is_the_sum_of_log_probabilities(letters):
    model = train_letters("arlm")
    texts = ["abc", "bcab", "c"] * 4
    special = model.task.tokenizer.special
    found = model.log_likelihood(texts)
    assert {one.kind for one in found} == {"exact"}
    assert {one.error for one in found} == {0.0}
    for text, one in zip(texts, found, strict=True):
        ids = model.task.tokenizer.encode(text, "text")
        row = torch.tensor([[special.bos, *ids, special.eos]])
        with torch.inference_mode():
            hidden = model.network(row[:, :-1])
            log_p = model.network.head(hidden).double().log_softmax(-1)
        expected = log_p[0].gather(1, row[0, 1:, None]).sum()
        assert one.nats == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("family", ["mdlm", "flexmdm", "ilm", "udlm"])
def test_bound_of_rows_is_the_bound_of_the_evaluation(letters, family):
    model = train_letters(family)
    loss = model.evaluate("test")["loss"]
    texts = [model.task.decode(e["tokens"]) for e in model.task.examples("test")]
    found = model.log_likelihood(texts, draws=loss["draws"])
    assert {one.kind for one in found} == {"bound"}
    mean = -sum(one.nats for one in found) / len(found)
    assert mean == pytest.approx(loss["sequence_nll_bound"], rel=1e-5)
    assert any(one.error > 0 for one in found)
    assert found == model.log_likelihood(texts, draws=loss["draws"])


def test_exact_continuation_is_the_sum_of_its_log_probabilities(letters):
    model = train_letters("arlm")
    pairs = [("ab", "c"), ("", "bca"), ("b", "cab"), ("ab", "ca")]
    found = model.log_likelihood(pairs)
    assert {(one.kind, one.error) for one in found} == {("exact", 0.0)}
    for (before, after), one in zip(pairs, found, strict=True):
        ids = model.task.tokenizer.encode(before + after)
        row = torch.tensor([[model.task.tokenizer.special.bos, *ids]])
        with torch.inference_mode():
            hidden = model.network(row[:, :-1])
            log_p = model.network.head(hidden).double().log_softmax(-1)
        of_tokens = log_p[0].gather(1, row[0, 1:, None])[len(before) :]
        assert one.nats == pytest.approx(float(of_tokens.sum()), rel=1e-4)


def last_token(model, before, after):
    """log p(after | before), with MASK as the last token of the row."""
    special = model.task.tokenizer.special
    ids = [*model.task.tokenizer.encode(before), special.mask]
    with torch.inference_mode():
        logits = model.network.head(model.network(torch.tensor([ids])))[0, -1].double()
        logits[special.mask] = -torch.inf
    return float(logits.log_softmax(-1)[model.task.tokenizer.encode(after)])


def test_bound_of_one_token_is_its_log_probability(letters):
    """For one token the bound is exact: in a row of this length, without an EOS."""
    model = train_letters("mdlm")
    pairs = [("ab", "c"), ("b", "a"), ("bcab", "c")]  # of different lengths
    found = model.log_likelihood(pairs, draws=2000)
    pseudo = model.log_likelihood(pairs, pseudo=True)
    assert {one.kind for one in found} == {"bound"}
    assert {(one.kind, one.error) for one in pseudo} == {("pseudo", 0.0)}
    for pair, one, other in zip(pairs, found, pseudo, strict=True):
        expected = last_token(model, *pair)
        assert other.nats == pytest.approx(expected, rel=1e-5)
        assert 0 < one.error < 0.3
        assert abs(one.nats - expected) < 4 * one.error


@pytest.mark.parametrize("family", ["flexmdm", "udlm"])
def test_bound_of_a_continuation_needs_no_mask(letters, family):
    model = train_letters(family)
    found = model.log_likelihood([("ab", "c"), ("b", "cab")])
    assert all(one.kind == "bound" and one.error > 0 for one in found)


def test_family_that_cannot_condition_a_bound_is_refused(letters):
    model = train_letters("bd3lm")
    with pytest.raises(UserError, match="no bound on the likelihood of a continuation"):
        model.log_likelihood([("ab", "c")])


def test_pseudo_likelihood_of_a_family_without_likelihood(letters):
    model = train_letters("mlm")
    (found,) = model.log_likelihood([("ab", "c")], pseudo=True)
    assert found.nats == pytest.approx(last_token(model, "ab", "c"), rel=1e-5)


def test_loss_that_is_no_likelihood_is_refused(letters):
    model = train_letters("mlm")
    with pytest.raises(UserError, match="is not a likelihood"):
        model.log_likelihood(["abc"])


def test_texts_are_generated_without_prompts(letters):
    model = train_letters("mdlm")
    answers = model.generate(num=9, steps=4)
    assert len(answers) == 9
    assert {answer.forward_passes for answer in answers} == {4}
    assert all(set(answer.text) <= set("abc") for answer in answers)
    assert answers == model.generate(num=9, steps=4)
    assert answers != model.generate(num=9, steps=4, seed=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.log_likelihood([("a", "b"), "c"]), "pass texts, or pairs"),
        (lambda m: m.log_likelihood([("abcabc", "ab")]), "has 8 tokens, and"),
        (lambda m: m.log_likelihood(["abcabcabcabc"]), "max_length has room for"),
        (lambda m: m.generate(stps=4), "did you mean 'steps'"),
        (lambda m: m.generate(["abcabcabc"]), "max_length has room for"),
        (lambda m: xlmgen.load("runs/none"), "there is no run folder"),
        (lambda m: xlmgen.load(m.run.path, checkpoint=3), "has no checkpoint"),
    ],
)
def test_mistake_names_the_fix(letters, call, message):
    model = train_letters("mdlm")
    with pytest.raises(UserError) as caught:
        call(model)
    assert message in str(caught.value)


def test_rendered_files_equal_those_of_the_folder():
    folder = Path(__file__).parents[1] / "families" / "arlm"
    files = xlmgen.render_family(folder / "family.yaml")
    assert "loss_arlm.py" in files
    for name, text in files.items():
        assert (folder / name).read_text("utf-8") == text
