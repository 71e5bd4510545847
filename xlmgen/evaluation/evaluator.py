"""Generative perplexity and MAUVE of texts, by another language model."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.errors import UserError

WINDOW = 4096  # longest context of the evaluator, in tokens
BATCH = 4096  # most tokens of a forward pass, padding included
MAUVE_TOKENS = 1024  # tokens used of a text, as published

AfterBatch = Callable[[int], None]


@dataclass(frozen=True)
class Window:
    """Consecutive ids of a text; the first `seen` are context and not scored."""

    ids: Sequence[int]
    seen: int


@dataclass(frozen=True)
class Evaluator:
    """A causal language model in a folder of the transformers library.

    Args:
        model: in evaluation mode.
        tokenizer: its own.
        window: longest context of the model, in tokens.
    """

    model: Any
    tokenizer: Any
    window: int

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Self:
        """Load model and tokenizer; runs no code of the folder and reads no pickle.

        Raises:
            UserError: the folder does not hold such a model.
        """
        check_evaluator(folder)
        from transformers import AutoModelForCausalLM, AutoTokenizer
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        options = {"local_files_only": True, "trust_remote_code": False}
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder, **options)
            model: Any = AutoModelForCausalLM.from_pretrained(
                folder, use_safetensors=True, dtype=torch.float32, **options
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"--evaluator {folder}: {reason}",
                "give the folder of a causal language model with its tokenizer and "
                "weights as .safetensors",
            ) from error
        context = getattr(model.config, "max_position_embeddings", None) or WINDOW
        model.to(device).eval()
        return cls(model, tokenizer, min(int(context), WINDOW))

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return next(self.model.parameters()).device

    def encode(self, text: str) -> list[int]:
        """The ids of a text, without special tokens."""
        ids: list[int] = self.tokenizer(
            text, add_special_tokens=False, split_special_tokens=True, verbose=False
        )["input_ids"]
        return ids

    def windows(self, ids: Sequence[int]) -> Iterator[Window]:
        """Split a text into windows that score every token once, after BOS if any.

        Without a BOS the first token has no context and is not scored. In a long text
        every token after the first window has at least half a window of context.
        """
        bos = self.tokenizer.bos_token_id
        text = [*([] if bos is None else [bos]), *ids]
        seen, start = 1, 0
        while start + seen < len(text):
            yield Window(text[start : start + self.window], seen)
            step = self.window // 2
            start, seen = start + step, self.window - step

    def perplexity(
        self, texts: Sequence[str], after_batch: AfterBatch = lambda windows: None
    ) -> dict[str, float]:
        """Perplexity per evaluator token, over the tokens of all texts together.

        Texts without a scored token do not count; the end of a text is not scored.
        """
        windows = [w for text in texts for w in self.windows(self.encode(text))]
        total, count = 0.0, 0
        for batch in _batches(windows):
            nll = self._nll(batch)
            total += float(nll.sum())
            count += sum(len(window.ids) - window.seen for window in batch)
            after_batch(len(batch))
        mean = total / count if count else math.nan
        return {
            "generative_perplexity": float(torch.tensor(mean).double().exp()),
            "generative_nll": mean,
            "evaluator_tokens": float(count),
        }

    def _nll(self, batch: Sequence[Window]) -> Tensor:
        """Nats of every scored token of the windows, in float64."""
        ids, mask = self._pad([window.ids for window in batch])
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask).logits[:, :-1]
            scored = mask[:, 1:].bool()
            for row, window in enumerate(batch):
                scored[row, : window.seen - 1] = False
            logits, targets = logits[scored], ids[:, 1:][scored]
            nll = F.cross_entropy(logits.float(), targets, reduction="none")
        return nll.double()

    def features(self, texts: Sequence[str]) -> Tensor:
        """Last hidden state at the last token of every text, for MAUVE.

        An empty text is represented by one BOS (or EOS).

        Returns:
            (N, D) float32, on the CPU.
        """
        special = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        empty = next((token for token in special if token is not None), 0)
        longest = min(MAUVE_TOKENS, self.window)
        rows = [Window(self.encode(text)[:longest] or [empty], 0) for text in texts]
        order = sorted(range(len(rows)), key=lambda row: -len(rows[row].ids))
        found: list[Tensor] = []
        for batch in _batches([rows[row] for row in order]):
            ids, mask = self._pad([row.ids for row in batch])
            with torch.inference_mode():
                states = self.model(
                    input_ids=ids, attention_mask=mask, output_hidden_states=True
                ).hidden_states[-1]
            last = mask.sum(1) - 1
            found.append(states[torch.arange(len(batch)), last].float().cpu())
        return torch.cat(found)[torch.tensor(order).argsort()]

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Right-padded ids and their attention mask, each (rows, longest)."""
        length = max(len(row) for row in rows)
        ids = torch.zeros((len(rows), length), dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = torch.tensor(row)
            mask[number, : len(row)] = 1
        return ids.to(self.device), mask.to(self.device)


def check_evaluator(folder: Path) -> None:
    """Refuse a folder that cannot be an evaluator, without importing transformers.

    Raises:
        UserError: no `config.json`, or transformers is not installed.
    """
    if not (folder / "config.json").is_file():
        raise UserError(
            f"--evaluator {folder}: it has no config.json",
            "give the folder of a causal language model, such as a copy of gpt2-large",
        )
    if importlib.util.find_spec("transformers") is None:
        raise UserError(
            "--evaluator needs the package transformers",
            "pip install 'xlmgen[evaluator]'",
        )


def check_mauve() -> None:
    """Raise a `UserError` where mauve-text is not installed."""
    if importlib.util.find_spec("mauve") is None:
        raise UserError(
            "--mauve needs the package mauve-text", "pip install 'xlmgen[mauve]'"
        )


def mauve(evaluator: Evaluator, texts: Sequence[str], data: Sequence[str]) -> float:
    """MAUVE of texts against as many data texts, with the package's defaults."""
    from mauve import compute_mauve

    features = [evaluator.features(some).numpy() for some in (texts, data)]
    return float(compute_mauve(*features, verbose=False).mauve)


def _batches(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Batch windows of similar lengths, the longest first."""
    batch: list[Window] = []
    for window in sorted(windows, key=lambda w: -len(w.ids)):
        if batch and (len(batch) + 1) * len(batch[0].ids) > BATCH:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch
