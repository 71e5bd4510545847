"""The divergence of a path equals sums over a table of all sequences."""

import math
from itertools import pairwise, product

import pytest
import torch

from xlmgen import resources
from xlmgen.runtime.sampling import TokenSampler
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.testing.markov import UNKNOWN, HiddenMarkov
from xlmgen.testing.markov_oracle import (
    BlockMarkovOracle,
    CausalMarkovOracle,
    MarkovOracle,
)
from xlmgen.testing.path_divergence import (
    Estimate,
    model_trace,
    pair_variation,
    path_log_ratio,
)
from xlmgen.testing.subject import import_family
from xlmgen.testing.variant import render_variant

FIRST = 5
MASK = SpecialTokens().mask
FAMILIES = resources.root() / "families"
PLAIN = TokenSampler()

COVERED = {
    "random": {"order": "random", "steps": 2},
    "confidence": {"order": "top_prob", "steps": 2},
    "threshold": {"order": "entropy", "threshold": 0.6},
    "entropy_bound": {"order": "entropy", "entropy_bound": 0.5},
    "remasking": {
        "order": "random",
        "steps": 5,
        "remask": {"rule": "rescale", "eta": 0.8},
    },
}
"""Options whose reference sampler follows the model."""


def short(tokens=2, length=4, peak=0.3):
    return HiddenMarkov.random_chain(tokens, length, seed=4, peak=peak)


def generate(family, model, rows, seed=0, **options):
    """Generate rows of a model's length: tokens (B, L), and their trace."""
    special = SpecialTokens(vocab_size=FIRST + model.emission.shape[1])
    predictor = family.predictor(special, **options)
    bos = torch.full((rows, 1), special.bos)
    masks = torch.full((rows, model.length), MASK)
    settings = {"first": FIRST, "vocab_size": special.vocab_size}
    batch, context = {"attention_mask": None}, 1
    if family.name == "arlm":
        network = CausalMarkovOracle(model, **settings)
        batch |= {"input_ids": bos, "max_new_tokens": model.length}
    elif family.name == "bd3lm":
        network = BlockMarkovOracle(model, **settings)
        ids = torch.cat((bos, masks), 1)
        batch |= {"input_ids": ids, "fillable": ids == MASK}
        batch |= {"context": 1, "block_size": 16}
    else:
        network, context = MarkovOracle(model, **settings), 0
        batch |= {"input_ids": masks, "fillable": masks == MASK}
    generator = torch.Generator().manual_seed(seed)
    out = predictor.generate(network, batch, generator, trace=True)
    trace = model_trace(out.trace, first=FIRST, mask=MASK, context=context)
    return out.ids[:, context:] - FIRST, trace


def ratios(model, ids, trace, sampler=PLAIN):
    return path_log_ratio(model, torch.full_like(ids, UNKNOWN), trace, sampler)


def variant(options, tmp_path):
    predictor = {"kind": "unmasking", "temperature": 1.0} | options
    return render_variant(FAMILIES / "mdlm/family.yaml", predictor, tmp_path / "mdlm")


class Table:
    """Probabilities of all sequences of a short model, by its definition."""

    def __init__(self, model):
        self.rows = list(product(range(model.emission.shape[1]), repeat=model.length))
        self.probs = []
        for row in self.rows:
            p = float(model.initial[row[0]])
            for before, after in pairwise(row):
                p *= float(model.transition[before, after])
            self.probs.append(p)

    def p(self, known):
        """Probability of known tokens {position: token}."""
        return sum(
            p
            for row, p in zip(self.rows, self.probs, strict=True)
            if all(row[i] == token for i, token in known.items())
        )

    def log_ratio(self, passes):
        """log(sampler / reference) of passes: lists of (position, token or UNKNOWN)."""
        known, total = {}, 0.0
        for written in passes:
            new = {i: token for i, token in written if token != UNKNOWN}
            for i, token in new.items():
                total += math.log(self.p(known | {i: token}) / self.p(known))
            total -= math.log(self.p(known | new) / self.p(known))
            known = known | new
            for i, token in written:
                if token == UNKNOWN:
                    del known[i]
        return total


@pytest.mark.parametrize("name", COVERED)
def test_log_ratio_of_a_path_is_that_of_the_table(name, tmp_path):
    model = short(3, 4)
    table = Table(model)
    ids, trace = generate(variant(COVERED[name], tmp_path), model, 20)
    found = ratios(model, ids, trace)
    several = 0
    for row in range(20):
        events = {}
        for step, where, position, token in zip(
            trace.step.tolist(),
            trace.row.tolist(),
            trace.position.tolist(),
            trace.token.tolist(),
            strict=True,
        ):
            if where == row:
                events.setdefault(step, []).append((position, token))
        several += max(map(len, events.values())) > 1
        expected = table.log_ratio([events[step] for step in sorted(events)])
        assert float(found[row]) == pytest.approx(expected, abs=1e-9)
    assert several  # otherwise every ratio is 0


@pytest.mark.parametrize("name", COVERED)
def test_weights_turn_samples_into_those_of_the_model(name, tmp_path):
    """The ends of the reference follow the model: E[1/r · 1(x)] = p(x)."""
    model = short(peak=1.0)  # no sequence is rare
    table = Table(model)
    ids, trace = generate(variant(COVERED[name], tmp_path), model, 20000)
    weights = (-ratios(model, ids, trace)).exp()
    for row, p in zip(table.rows, table.probs, strict=True):
        hits = weights * (ids == torch.tensor(row)).all(1)
        estimate = Estimate.of(hits)
        assert abs(estimate.mean - p) < 4.5 * estimate.error + 1e-9


def test_mean_is_the_divergence_of_random_order_in_two_steps(tmp_path):
    """The sum over all ways to divide the positions between the steps."""
    model = short()
    table, expected, ends = Table(model), 0.0, dict.fromkeys(Table(model).rows, 0.0)
    for first in product([True, False], repeat=model.length):
        for row, p in zip(table.rows, table.probs, strict=True):
            steps = [
                [(i, row[i]) for i in range(model.length) if first[i] == now]
                for now in (True, False)
            ]
            ratio = table.log_ratio(steps)
            chance = p * math.exp(ratio) / 2**model.length
            expected += chance * ratio
            ends[row] += chance
    samples = sum(
        q * math.log(q / table.p(dict(enumerate(x)))) for x, q in ends.items()
    )
    assert 0 < samples < expected
    ids, trace = generate(variant(COVERED["random"], tmp_path), model, 20000)
    estimate = Estimate.of(ratios(model, ids, trace))
    assert estimate.mean == pytest.approx(expected, abs=4 * estimate.error)
    assert estimate.error < expected / 20


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(0.5, None), (0.0, None), (1.0, 0.6)]
)
def test_ratio_counts_the_distribution_that_tokens_are_drawn_from(temperature, top_p):
    model = short(3, 2)
    shape = {"temperature": temperature, "top_p": top_p}
    family = import_family(FAMILIES / "mdlm")
    ids, trace = generate(family, model, 50, steps=1, **shape)
    found = ratios(model, ids, trace, TokenSampler(**shape))
    table = Table(model)
    for row, ratio in zip(ids.tolist(), found.tolist(), strict=True):
        expected = -math.log(table.p(dict(enumerate(row))))
        for i, token in enumerate(row):
            marginal = [table.p({i: v}) for v in range(3)]
            best = sorted(marginal, reverse=True)
            if temperature == 0:
                assert marginal[token] == best[0]
            elif top_p is not None:
                kept = next(n for n in (1, 2, 3) if sum(best[:n]) >= top_p)
                assert marginal[token] >= best[kept - 1]
                expected += math.log(marginal[token] / sum(best[:kept]))
            else:
                powers = [p ** (1 / temperature) for p in marginal]
                expected += math.log(powers[token] / sum(powers))
        assert ratio == pytest.approx(expected, abs=1e-9)


def test_pair_variation_is_half_the_sum_of_differences():
    model = HiddenMarkov.random(2, 3, 4, seed=5, peak=0.5)
    rows = list(product(range(3), repeat=4))
    probs = model.log_prob(torch.tensor(rows)).exp().tolist()
    expected = [[0.0] * 3 for _ in range(3)]
    for row, p in zip(rows, probs, strict=True):
        for a, b in pairwise(row):
            expected[a][b] += p / 3
    torch.testing.assert_close(model.pairs, torch.tensor(expected).double())
    ids = torch.tensor([[0, 0, 0, 1], [0, 1, 0, 0]])
    counts = {(0, 0): 3 / 6, (0, 1): 2 / 6, (1, 0): 1 / 6}
    distance = sum(
        abs(counts.get((a, b), 0.0) - expected[a][b])
        for a in range(3)
        for b in range(3)
    )
    assert pair_variation(model, ids).mean == pytest.approx(distance / 2)


def test_error_of_pair_variation_is_its_spread_over_samples():
    model = HiddenMarkov.random_chain(4, 30, seed=0)
    other = HiddenMarkov.random_chain(4, 30, seed=1)
    generator = torch.Generator().manual_seed(0)
    found = [pair_variation(model, other.sample(50, generator)) for _ in range(100)]
    spread = torch.tensor([estimate.mean for estimate in found]).std()
    error = sum(estimate.error for estimate in found) / len(found)
    assert error == pytest.approx(float(spread), rel=0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"), [("arlm", {}), ("bd3lm", {}), ("llada", {"steps": None})]
)
def test_one_token_per_pass_is_exact_at_real_length(name, options):
    model = HiddenMarkov.random_chain(27, 256, seed=0)
    family = import_family(FAMILIES / name)
    ids, trace = generate(family, model, 3, temperature=1.0, **options)
    assert torch.bincount(trace.row).tolist() == [256] * 3
    assert float(ratios(model, ids, trace).abs().max()) < 1e-8


@pytest.mark.slow
def test_steps_of_random_order_lower_the_divergence_at_real_length():
    model = HiddenMarkov.random_chain(27, 256, seed=0)
    family = import_family(FAMILIES / "mdlm")
    found = []
    for steps in (4, 16, 64):
        ids, trace = generate(family, model, 32, steps=steps)
        found.append(Estimate.of(ratios(model, ids, trace)))
    for more, fewer in pairwise(found):
        assert more.mean - 4 * more.error > fewer.mean + 4 * fewer.error > 0
