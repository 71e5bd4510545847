"""Log-likelihoods of texts that are no rows of a split: answers and continuations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch.utilities import move_data_to_device

from xlmgen.data.batches import Collator, Request, batch_seed
from xlmgen.data.datamodule import TRAINING_USES
from xlmgen.errors import UserError
from xlmgen.evaluation.likelihood import SplitRows, measure_rows, nats_key
from xlmgen.evaluation.pseudo_likelihood import pseudo_nll, require_masked_tokens
from xlmgen.runs.build import Parts
from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.spec.family import FamilySpec

Kind = Literal["exact", "bound", "pseudo"]
Example = Mapping[str, Any]


@dataclass(frozen=True)
class LogLikelihood:
    """Log-likelihood of a text, of an answer given its prompt, or of a continuation.

    Args:
        nats: log-probability in nats; a lower bound if `kind` is `bound`; the sum of
            the log-probabilities of every token given all others if it is `pseudo`.
        kind: whether the number is exact, a bound or a pseudo-log-likelihood.
        error: standard error of `nats` over the Monte Carlo draws; 0 if not drawn.
    """

    nats: float
    kind: Kind
    error: float


@dataclass(frozen=True)
class TextLikelihood:
    """Measures log-likelihoods with the network of a run.

    Args:
        spec: of the run's family.
        parts: of the run, on the device, in evaluation mode.
        device: of the network.
        draws: Monte Carlo draws per text where the loss is random.
        batch_size: the most rows of a batch, repetitions counted.
        pseudo: measure the pseudo-log-likelihood of a masked model.

    Raises:
        UserError: the family has no such likelihood.
    """

    spec: FamilySpec
    parts: Parts
    device: torch.device
    draws: int
    batch_size: int
    pseudo: bool = False

    def __post_init__(self) -> None:
        if self.pseudo:
            require_masked_tokens(self.spec)
        elif self.spec.likelihood.gives == "none":
            raise UserError(
                f"the loss of {self.spec.name} is not a likelihood",
                "use a family whose loss is exact or a bound (docs/families), or the "
                "pseudo-likelihood of a masked model",
            )

    @property
    def kind(self) -> Kind:
        """The kind of every number."""
        if self.pseudo:
            return "pseudo"
        return "exact" if self.spec.likelihood.gives == "exact" else "bound"

    @property
    def longest(self) -> int:
        """Most ids of a continuation and the text before it; BOS has room besides."""
        return self.parts.task.max_length.length - 1

    def encode_pair(self, text: str, after: str) -> tuple[list[int], list[int]]:
        """Ids of a text and of its continuation, as the two are tokenised together.

        A tokenizer may join the end of the text and the beginning of its continuation.
        Spaces at the end of the text are counted to the continuation, since a token of
        most tokenizers begins with its space.
        """
        encode = self.parts.task.tokenizer.encode
        stop = len(text.rstrip())
        before = encode(text[:stop], "text")
        both = encode(text + after, "text")
        return both[: len(before)], both[len(before) :]

    def examples(self, examples: Sequence[Example]) -> list[LogLikelihood]:
        """Measure examples of the task's layout, with their special tokens."""
        use = TRAINING_USES[self.parts.task.layout]
        return self._measured(examples, self._collator(use))

    def continuations(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> list[LogLikelihood]:
        """Measure continuations given the ids before them, for a task of layout `lm`.

        An EOS is not part of them. An exact one is the difference of two sequences. A
        bound or a pseudo-likelihood is that of the continuation's tokens in a row of
        exactly this length, and the ids before them are given. Of a family that inserts
        tokens the bound includes the end of the text.

        Raises:
            UserError: a pair is too long, or the family cannot condition a bound on
                given tokens.
        """
        longest = max((len(a) + len(b) for a, b in pairs), default=0)
        if longest > self.longest:
            raise UserError(
                f"a continuation with the text before it has {longest} tokens, and "
                f"max_length has room for {self.longest} besides BOS",
                "shorten the text before it, or raise max_length in the task's YAML",
            )
        if self.kind == "exact":
            return self._differences(pairs)
        if "infill" not in self.parts.family.collators:
            raise UserError(
                f"the family {self.spec.name} has no bound on the likelihood of a "
                "continuation, because its collators have no 'infill'",
                "train on a task of layout seq2seq, or use another family",
            )
        options = self.spec.collator.options
        # An inserting family adds its BOS to every row, and has no EOS.
        inserts = "padding" not in options
        opened = not inserts and (self.parts.task.packed or options["bos"])
        opening = [self.parts.tokens.bos] if opened else []
        examples = []
        for before, after in pairs:
            ids = np.array([*opening, *before, *after], dtype=np.int64)
            given = np.arange(len(ids)) < len(ids) - len(after)
            row = {"tokens": ids, "given": given.astype(np.int64)}
            examples.append(row if inserts else {**row, "packed": True})
        if inserts:
            return self._measured(examples, self._collator("infill"))
        return self._by_length(examples)

    def _differences(
        self, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]
    ) -> list[LogLikelihood]:
        """Exact continuations: log P(all) − log P(before)."""
        rows: dict[tuple[int, ...], float] = {}
        for before, after in pairs:
            rows[(*before, *after)] = rows[tuple(before)] = 0.0
        wanted = [row for row in rows if row]  # an empty one has the likelihood 1
        bos = self.parts.tokens.bos
        examples = [
            {"tokens": np.array([bos, *row], dtype=np.int64), "packed": True}
            for row in wanted
        ]
        measured = self._measured(examples, self._collator("lm"))
        for row, found in zip(wanted, measured, strict=True):
            rows[row] = found.nats
        return [
            LogLikelihood(rows[(*before, *after)] - rows[tuple(before)], self.kind, 0.0)
            for before, after in pairs
        ]

    def _by_length(self, examples: Sequence[Example]) -> list[LogLikelihood]:
        """Measure rows in groups of equal length, so that no row has pads.

        A fixed-length family would count them as tokens of the answer.
        """
        found: dict[int, LogLikelihood] = {}
        for length, indices in _groups(examples):
            some = [examples[index] for index in indices]
            maximum = replace(self.parts.task.max_length, answer=length)
            measured = self._measured(some, self._collator("infill", maximum))
            found |= zip(indices, measured, strict=True)
        return [found[index] for index in range(len(examples))]

    def _collator(self, use: str, max_length: MaxLength | None = None) -> Collator:
        collator: Collator = self.parts.family.collators[use](
            self.parts.tokens, max_length or self.parts.task.max_length, evaluation=True
        )
        return collator

    def _measured(
        self, examples: Sequence[Example], collator: Collator
    ) -> list[LogLikelihood]:
        rows = SplitRows("test", examples, collator, len(examples), self.batch_size)
        if not examples:
            return []
        if self.pseudo:
            nats, errors = self._pseudo(rows), [0.0] * len(examples)
        else:
            losses = measure_rows(
                self.parts.measure,
                rows,
                nats_key=nats_key(self.parts.metrics),
                draws=self.draws,
                device=self.device,
            )
            nats, errors = losses.nats.tolist(), losses.nats_errors.tolist()
        return [
            LogLikelihood(-value, self.kind, error)
            for value, error in zip(nats, errors, strict=True)
        ]

    def _pseudo(self, rows: SplitRows) -> list[float]:
        """Pseudo-negative log-likelihood of each row."""
        model: Any = self.parts.model
        found: list[float] = []
        with torch.inference_mode():
            for first in range(0, rows.count, self.batch_size):
                some = tuple(range(first, min(first + self.batch_size, rows.count)))
                request = Request(some, batch_seed(0, "test", first, 0))
                batch = move_data_to_device(rows.batches[request], self.device)
                nll = pseudo_nll(model, batch, self.parts.tokens.mask, self.batch_size)
                found += nll.tolist()
        return found


def _groups(examples: Sequence[Example]) -> Iterator[tuple[int, list[int]]]:
    """Lengths, and the indices of the examples with each, the longest first."""
    lengths: dict[int, list[int]] = {}
    for index, example in enumerate(examples):
        lengths.setdefault(len(example["tokens"]), []).append(index)
    yield from sorted(lengths.items(), reverse=True)
