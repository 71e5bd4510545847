"""How far the samples of a predictor are from the model that its network is."""

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.sample.options import BLOCK_SIZE, Sampler
from xlmgen import resources
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.special_tokens import SPECIAL_TOKENS, SpecialTokens
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
from xlmgen.testing.variant import render_variant

FIRST = len(SPECIAL_TOKENS)
FLOOR_DRAWS = 20


@dataclass(frozen=True)
class Setting:
    """The Markov chain and the number of rows that every sampler is measured with.

    Args:
        tokens: K.
        length: tokens of a row.
        rows: number of rows that each point generates.
        seed: of the chain and of the samples.
        peak: concentration of the rows of the transition matrix.
    """

    tokens: int = 27
    length: int = 256
    rows: int = 128
    seed: int = 0
    peak: float = 0.1

    @cached_property
    def model(self) -> HiddenMarkov:
        return HiddenMarkov.random_chain(
            self.tokens, self.length, seed=self.seed, peak=self.peak
        )

    @property
    def special(self) -> SpecialTokens:
        return SpecialTokens(vocab_size=FIRST + self.tokens)

    def floor(self) -> float:
        """Mean total variation of pairs of as many exact samples."""
        generator = torch.Generator().manual_seed(self.seed)
        draws = [self.model.sample(self.rows, generator) for _ in range(FLOOR_DRAWS)]
        found = [pair_variation(self.model, ids).mean for ids in draws]
        return sum(found) / len(found)


def measure(sampler: Sampler, value: Any, setting: Setting) -> dict[str, Any]:
    """Generate rows with one value of a sampler's option, and compare them.

    Returns:
        name, value, `passes` (mean number of forward passes that a row takes part in),
        `kl` and `kl_error` (nats per token; None where the ratio bounds nothing),
        `tv` and `tv_error` of pairs, `nll` (−log p in nats per token) and `seconds`.
    """
    with tempfile.TemporaryDirectory() as folder:
        family = render_variant(
            resources.root() / "families" / sampler.family / "family.yaml",
            {**sampler.predictor, sampler.vary: value},
            Path(folder) / sampler.family,
        )
    predictor: Any = family.predictor(setting.special)
    start = time.perf_counter()
    generation, context = _generate(sampler.family, predictor, setting)
    seconds = time.perf_counter() - start
    ids = generation.ids[:, context:] - FIRST
    assert generation.trace is not None
    mask = setting.special.mask
    trace = model_trace(generation.trace, first=FIRST, mask=mask, context=context)
    drawn = trace.token != UNKNOWN
    takes = torch.unique(torch.stack((trace.row[drawn], trace.step[drawn])), dim=1)
    pairs = pair_variation(setting.model, ids)
    kl = None
    if sampler.bounded:
        draw = replace(predictor.sample, suppress_tokens=())
        start_ids = torch.full_like(ids, UNKNOWN)
        ratio = path_log_ratio(setting.model, start_ids, trace, draw)
        kl = Estimate.of(ratio / setting.length)
    return {
        "name": sampler.name,
        "value": value,
        "passes": round(takes.shape[1] / setting.rows, 2),
        "kl": None if kl is None else kl.mean,
        "kl_error": None if kl is None else kl.error,
        "tv": pairs.mean,
        "tv_error": pairs.error,
        "nll": -float(setting.model.log_prob(ids).mean()) / setting.length,
        "seconds": round(seconds, 2),
    }


def settings(setting: Setting) -> dict[str, Any]:
    """The settings, and the numbers of the chain that results are read against."""
    return {
        **asdict(setting),
        "entropy": setting.model.entropy / setting.length,
        "floor": setting.floor(),
    }


def _generate(family: str, predictor: Any, setting: Setting) -> tuple[Generation, int]:
    """Generate rows; return them and the number of columns before the first token."""
    special = setting.special
    numbers: dict[str, Any] = {"first": FIRST, "vocab_size": special.vocab_size}
    bos = torch.full((setting.rows, 1), special.bos)
    masks = torch.full((setting.rows, setting.length), special.mask)
    batch: dict[str, Tensor | int | None] = {"attention_mask": None}
    network: MarkovOracle
    context = 1
    if family == "arlm":
        network = CausalMarkovOracle(setting.model, **numbers)
        batch |= {"input_ids": bos, "max_new_tokens": setting.length}
    elif family == "bd3lm":
        network = BlockMarkovOracle(setting.model, **numbers)
        ids = torch.cat((bos, masks), dim=1)
        batch |= {"input_ids": ids, "fillable": ids == special.mask}
        batch |= {"context": 1, "block_size": BLOCK_SIZE}
    else:
        network, context = MarkovOracle(setting.model, **numbers), 0
        batch |= {"input_ids": masks, "fillable": masks == special.mask}
    generator = torch.Generator().manual_seed(setting.seed)
    return predictor.generate(network, batch, generator, trace=True), context
