"""The model `xlmgen` of lm-evaluation-harness, driven by the harness."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import xlmgen
from xlmgen.errors import UserError

lm_eval = pytest.importorskip("lm_eval")

from lm_eval.api.instance import Instance  # noqa: E402
from lm_eval.tasks import TaskManager  # noqa: E402

from xlmgen.lm_eval.model import XlmgenLM  # noqa: E402

# Of lm_eval and the libraries that it imports.
pytestmark = pytest.mark.filterwarnings("ignore")


def evaluated(model, task, folder):
    tasks = TaskManager(include_path=str(folder), include_defaults=False)
    return lm_eval.simple_evaluate(model, tasks=[task], task_manager=tasks)


def asked(model, kind, *arguments):
    requests = [Instance(kind, {}, args, 0) for args in arguments]
    return getattr(model, kind)(requests)


def lines_of(file):
    return [json.loads(line) for line in Path(file).read_text().splitlines()]


def accuracy(model):
    """That of `choice` by likelihoods from the Python interface."""
    choices = [("ab", ["c", "ca", "a"]), ("bc", ["a", "c", "ba"])]
    right = 0
    for text, continuations in choices:
        found = model.log_likelihood([(text, one) for one in continuations])
        right += found[0].nats == max(one.nats for one in found)
    return right / len(choices)


def test_choices_are_ranked_by_the_exact_likelihood(trained, here):
    model = XlmgenLM(str(trained("arlm")), details="details.jsonl")
    found = evaluated(model, "choice", here)
    assert found["results"]["choice"]["acc,none"] == accuracy(model.model)
    assert found["config"]["log_likelihood"] == {
        "kind": "exact",
        "requests": 6,
        "draws": 1,
        "mean_standard_error": 0.0,
    }
    lines = lines_of("details.jsonl")
    assert [line["document"] for line in lines] == [0, 0, 0, 1, 1, 1]
    assert {(line["task"], line["kind"]) for line in lines} == {("choice", "exact")}


def test_rolling_likelihood_sums_windows_without_eos(trained, here):
    model = XlmgenLM(str(trained("arlm")))
    network, tokenizer = model.model.network, model.model.task.tokenizer
    bos = tokenizer.special.bos

    def direct(text):
        row = torch.tensor([[bos, *tokenizer.encode(text)]])
        with torch.inference_mode():
            log_p = network.head(network(row[:, :-1])).double().log_softmax(-1)
        return float(log_p[0].gather(1, row[0, 1:, None]).sum())

    long = "abcabcabcabcabcabcab"  # windows of 9, 9 and 2
    found = asked(model, "loglikelihood_rolling", ("abca",), (long,))
    expected = [
        direct("abca"),
        direct(long[:9]) + direct(long[9:18]) + direct(long[18:]),
    ]
    assert found == pytest.approx(expected, rel=1e-5)
    results = evaluated(model, "texts", here)["results"]["texts"]
    assert results["bits_per_byte,none"] > 0


@pytest.mark.parametrize(("family", "kind"), [("mdlm", "bound"), ("mlm", "pseudo")])
def test_kind_and_error_are_in_the_results(trained, here, family, kind):
    model = XlmgenLM(str(trained(family)), draws=8)
    config = evaluated(model, "choice", here)["config"]["log_likelihood"]
    assert (config["kind"], config["requests"]) == (kind, 6)
    assert config["draws"] == (8 if kind == "bound" else 1)
    assert (config["mean_standard_error"] > 0) == (kind == "bound")


@pytest.mark.parametrize("family", ["arlm", "mdlm"])
def test_answers_end_before_a_stop_and_passes_are_counted(trained, here, family):
    run = trained(family, "sums")
    model = XlmgenLM(str(run), details="details.jsonl", batch_size=1)
    found = evaluated(model, "sums", here)
    prompts = ["1+1=", "3+1="]
    answers = model.model.generate(prompts, temperature=0.0)
    texts = [sample["resps"][0][0] for sample in found["samples"]["sums"]]
    assert texts == [answer.text[:3].partition("+")[0] for answer in answers]
    lines = [
        json.loads(line) for line in Path("details.jsonl").read_text().splitlines()
    ]
    passes = [line["forward_passes"] for line in lines]
    assert found["config"]["generation"] == {
        "answers": 2,
        "forward_passes_per_answer": sum(passes) / 2,
    }
    assert all(count >= 1 for count in passes)


def test_stop_at_the_first_token_gives_an_empty_answer(trained, here):
    model = XlmgenLM(str(trained("arlm", "sums")))
    (free,) = asked(model, "generate_until", ("1+1=", {"until": [], "max_gen_toks": 3}))
    assert free
    options = {"until": [free[0], "never"]}
    assert asked(model, "generate_until", ("1+1=", options)) == [""]


def test_batches_give_the_answers_and_likelihoods_of_single_rows(trained, here):
    pairs = [("ab", "c"), ("", "abca"), ("abc", "a"), ("b", "cab"), ("ab", "ca")]
    prompts = [(text, {"until": ["c"], "max_gen_toks": 4}) for text, _ in pairs]
    run = str(trained("arlm"))
    one, many = XlmgenLM(run, batch_size=1), XlmgenLM(run, batch_size=3)
    for kind, arguments in (("loglikelihood", pairs), ("generate_until", prompts)):
        first, second = asked(one, kind, *arguments), asked(many, kind, *arguments)
        if kind == "loglikelihood":
            first, second = ([nats for nats, _ in found] for found in (first, second))
            assert second == pytest.approx(first, rel=1e-5)
        else:
            assert first == second


def test_long_context_keeps_its_end_and_is_counted(trained, here):
    model = XlmgenLM(str(trained("arlm")))
    contexts = "cabcabca", "abcabcabcabcabca"
    short, long = asked(model, "loglikelihood", *((text, "b") for text in contexts))
    assert long[0] == pytest.approx(short[0], rel=1e-5)
    assert model.get_model_info()["shortened_contexts"] == 1


def test_only_continuation_of_a_document_is_compared_with_the_generated(trained, here):
    model = XlmgenLM(str(trained("arlm", "sums")))
    (text,) = asked(model, "generate_until", ("1+1=", {"until": []}))
    pairs = [("1+1=", text), ("1+1=", "9" + text), ("1+1=", text), ("1+1=", text)]
    documents = [0, 1, 2, 2]
    requests = [
        Instance("loglikelihood", {}, pair, 0, ("any", document, 1))
        for pair, document in zip(pairs, documents, strict=True)
    ]
    found = [is_greedy for _, is_greedy in model.loglikelihood(requests)]
    assert found == [True, False, False, False]


def test_answer_of_a_seq2seq_run_is_that_of_the_python_interface(trained, here):
    run = trained("mdlm", "sums")
    (found,) = asked(XlmgenLM(str(run), draws=16), "loglikelihood", ("1+1=", " 2"))
    (expected,) = xlmgen.load(run).log_likelihood([("1+1=", "2")], draws=16)
    assert found[0] == expected.nats
    with pytest.raises(UserError, match="need lm"):
        asked(XlmgenLM(str(run)), "loglikelihood_rolling", ("1+1=",))


@pytest.mark.slow
def test_command_evaluates_a_local_task(trained, here):
    """`python -m xlmgen.lm_eval` knows the model `xlmgen`."""
    run = trained("arlm")
    words = ["--model", "xlmgen", "--model_args", f"run={run}", "--tasks", "choice"]
    command = [sys.executable, "-m", "xlmgen.lm_eval", *words]
    command += ["--include_path", str(here), "--output_path", "results"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = Path("results").rglob("results_*.json")
    found = json.loads(file.read_text())
    assert found["results"]["choice"]["acc,none"] == accuracy(xlmgen.load(run))
    assert found["config"]["log_likelihood"]["kind"] == "exact"
