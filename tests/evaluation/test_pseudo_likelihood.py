"""Pseudo-likelihood against enumeration, for any chunk size, and in `xlmgen eval`."""

import json
import math

import pytest
import torch

from xlmgen import resources
from xlmgen.cli import main
from xlmgen.errors import UserError
from xlmgen.evaluation.pseudo_likelihood import pseudo_nll, require_masked_tokens
from xlmgen.runs.build import build
from xlmgen.runs.run import Run
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.spec.family import family_spec, read_family
from xlmgen.spec.load import load_yaml
from xlmgen.testing.oracle import MaskedOracle
from xlmgen.testing.toy import make_toy

TOKENS = SpecialTokens(vocab_size=8)
FAMILIES = resources.root() / "families"


def toy_and_batch(pads):
    """All rows of a toy distribution; without `pads` their lengths differ."""
    toy = make_toy(
        TOKENS,
        prompts=[(5,), (7, TOKENS.eos)],
        lengths=range(3),
        bos=False,
        eos=True,
        pads=pads,
    )
    mask = None if toy.attended.all() else toy.attended
    batch = {"target_ids": toy.rows, "maskable": toy.answer, "attention_mask": mask}
    return toy, batch


def enumerated(toy):
    """−Σ log p(token | the others) of every row, by summing the table."""
    found = []
    for row, answer, length in zip(toy.rows, toy.answer, toy.lengths, strict=True):
        total = 0.0
        for place in answer.nonzero().flatten().tolist():
            others = torch.arange(len(row)) != place
            same = (toy.rows[:, others] == row[others]).all(1) & (toy.lengths == length)
            this = same & (toy.rows[:, place] == row[place])
            total -= math.log(toy.probs[this].sum() / toy.probs[same].sum())
        found.append(total)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("pads", [True, False])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_pseudo_nll_equals_enumeration(pads, size):
    """The oracle gives MASK the highest probability, and it is excluded."""
    toy, batch = toy_and_batch(pads)
    oracle = MaskedOracle(toy, TOKENS.vocab_size, TOKENS.mask, (TOKENS.mask,))
    finished = []
    found = pseudo_nll(oracle, batch, TOKENS.mask, size, finished.append)
    assert torch.allclose(found, enumerated(toy), atol=1e-5)
    assert found.max() > 1
    assert sum(finished) == len(toy)
    assert max(shape[0] for shape in oracle.shapes) <= size
    assert oracle.calls == math.ceil(int(toy.answer.sum()) / size)


def test_pseudo_nll_of_determined_tokens_is_zero():
    """Where every token follows from the others, the pseudo-likelihood is 1."""
    toy, batch = toy_and_batch(pads=True)
    oracle = MaskedOracle(toy, TOKENS.vocab_size, TOKENS.mask)
    found = pseudo_nll(oracle, batch, TOKENS.mask, 16)
    empty = [row for row, target in enumerate(toy.targets) if not target]
    assert float(found[empty].max()) < float(-toy.probs[empty].log().max())


def test_rows_without_maskable_tokens_cost_zero():
    toy, batch = toy_and_batch(pads=True)
    batch["maskable"] = toy.answer & False
    oracle = MaskedOracle(toy, TOKENS.vocab_size, TOKENS.mask)
    assert pseudo_nll(oracle, batch, TOKENS.mask, 16).tolist() == [0.0] * len(toy)
    assert oracle.calls == 0


@pytest.fixture
def run(project):
    folder = project / "run"
    experiment = FAMILIES / "mlm" / "experiments" / "star_tiny.yaml"
    small = ["training.max_steps=3", "training.accelerator=cpu", "model.d_model=16"]
    small += ["model.layers=1", "evaluation.generate=2", "evaluation.batch_size=8"]
    assert main(["train", str(experiment), *small, "--run-dir", str(folder)]) == 0
    return folder


def test_eval_writes_pseudo_likelihood_to_its_own_file(run, capsys):
    """It is in a file of its own, next to the loss, and equals a plain loop."""
    arguments = ["eval", str(run), "--limit", "11", "--pseudo-likelihood"]
    assert main([*arguments, "predictor.steps=2"]) == 0
    out = capsys.readouterr().out
    (file,) = (run / "results").glob("*pseudo_likelihood*.json")
    found = json.loads(file.read_text())["pseudo_likelihood"]
    nll, tokens = (values.double() for values in by_plain_loop(run, 11))
    assert found["pseudo_nll"] == pytest.approx(
        float(nll.sum() / tokens.sum()), rel=1e-5
    )
    assert found["pseudo_perplexity"] == pytest.approx(math.exp(found["pseudo_nll"]))
    assert found["sequence_pseudo_nll"] == pytest.approx(float(nll.mean()), rel=1e-5)
    error = float((nll / 5).std() / math.sqrt(11))  # all answers have five tokens
    assert found["standard_error"] == pytest.approx(error, rel=1e-4)
    assert f"pseudo_nll {found['pseudo_nll']:.4f}" in " ".join(out.split())
    assert main([*arguments[:-1], "predictor.steps=2"]) == 0
    assert "pseudo" not in capsys.readouterr().out


def by_plain_loop(run, rows):
    """(rows,) nats and tokens, one masked token of one row at a time."""
    opened = Run.open(run)
    parts = build(opened)
    parts.load(opened.checkpoint()[1])
    collator = parts.data.collator("seq2seq", evaluation=True)
    mask, nll, tokens = parts.tokens.mask, torch.zeros(rows), torch.zeros(rows)
    for row in range(rows):
        batch = collator([parts.task.examples("test")[row]])
        clean = batch["target_ids"]
        for place in batch["maskable"][0].nonzero().flatten().tolist():
            ids = clean.clone()
            ids[0, place] = mask
            with torch.no_grad():
                hidden = parts.model(ids, batch["attention_mask"])
                logits = parts.model.head(hidden)[0, place]
            logits[mask] = -torch.inf
            nll[row] -= logits.log_softmax(0)[clean[0, place]]
            tokens[row] += 1
    return nll, tokens


@pytest.mark.parametrize("name", ["mlm", "llada"])
def test_masked_families_are_accepted(name):
    require_masked_tokens(read_family(FAMILIES / name / "family.yaml"))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("arlm", "is not trained as a masked language model"),
        ("flexmdm", "is not trained as a masked language model"),
    ],
)
def test_families_of_other_objectives_are_refused(name, reason):
    with pytest.raises(UserError, match=reason):
        require_masked_tokens(read_family(FAMILIES / name / "family.yaml"))


def test_time_conditioned_network_is_refused():
    text = (FAMILIES / "mdlm" / "family.yaml").read_text("utf-8")
    require_masked_tokens(family_spec(load_yaml("family.yaml", text)))
    text = text.replace(
        "attention: bidirectional", "attention: bidirectional\n  time: adaln"
    )
    with pytest.raises(UserError, match="is time-conditioned"):
        require_masked_tokens(family_spec(load_yaml("family.yaml", text)))


def test_refusal_is_one_line(project, capsys):
    assert main(["train", "toy.yaml", "--run-dir", "run"]) == 0
    capsys.readouterr()
    assert main(["eval", "run", "--pseudo-likelihood"]) == 2
    err = capsys.readouterr().err
    assert "the family toy is not trained as a masked language model" in err
    assert "Traceback" not in err
    assert not list((project / "run" / "results").iterdir())
