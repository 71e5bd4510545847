"""Requests to evaluate a run and to generate with it; no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xlmgen.runs.checkpoint_folder import Weights

LIKELIHOODS = ".rows.jsonl"
"""Suffix of the file of `results/` with the likelihood of every row."""


@dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """Settings of one evaluation of a run; the defaults are those of `xlmgen eval`.

    Args:
        split: `train`, `validation` or `test`.
        checkpoint, weights: see `Run.weights`.
        limit: evaluate the first `limit` rows only.
        predictor: options of the predictor that differ from the run's.
        seed: seed of the sampling.
        pseudo_likelihood: also mask every token alone and score it.
        evaluator: folder of a language model that scores the generated texts.
        mauve: also compute MAUVE, from the evaluator's hidden states.
    """

    split: str = "test"
    checkpoint: str | None = None
    weights: Weights | None = None
    limit: int | None = None
    predictor: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    pseudo_likelihood: bool = False
    evaluator: Path | None = None
    mauve: bool = False

    @property
    def result_name(self) -> str:
        """Stem of the result files: the split, then each setting that is no default."""
        changed = {
            "checkpoint": self.checkpoint,
            "weights": self.weights,
            "limit": self.limit,
            **dict(sorted(self.predictor.items())),
            "seed": self.seed or None,
            "evaluator": self.evaluator and self.evaluator.resolve().name,
        }
        parts = [
            f"{key}={value}" for key, value in changed.items() if value is not None
        ]
        parts += ["pseudo_likelihood"] if self.pseudo_likelihood else []
        safe = (re.sub(r"[^\w.=+]+", "_", part) for part in parts)
        return "-".join([self.split, *safe])


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """Settings of `xlmgen generate`.

    Args:
        prompts: texts to answer. Without any, the first `num` rows of the test split
            are answered, or `num` texts generated for a task of layout `lm`.
        num: number of answers when there are no prompts.
        trace: show at which step every token was written.
        checkpoint, weights: see `Run.weights`.
        predictor: options of the predictor that differ from the run's.
        seed: seed of the sampling.
        out: JSONL file for the answers.
    """

    prompts: Sequence[str] = ()
    num: int = 4
    trace: bool = False
    checkpoint: str | None = None
    weights: Weights | None = None
    predictor: Mapping[str, Any] = field(default_factory=dict)
    seed: int = 0
    out: Path | None = None
