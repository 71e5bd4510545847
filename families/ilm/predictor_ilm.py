# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: tokens are inserted one at a time, anywhere in the answer.

Shapes: A active rows, K slots, D width of the hidden states.
"""

import torch

from xlmgen.runtime.decoding.insertion import InsertionState, PairSampler
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_ilm import IlmModel
from .types_ilm import IlmPrompt


class IlmPredictor:
    """Insert tokens one at a time, anywhere in the answer (arXiv:2505.05755).

    The slot and the token are drawn as one pair. A row ends once its probability of
    being complete reaches a threshold: a heuristic. Finished rows leave the batch.

    Args:
        tokens: ids of the special tokens; PAD, BOS, MASK and CLS are never generated.
        stop_threshold: probability of being complete at which a row ends.
        max_new_tokens: maximum length of the answer in tokens; None is the task's
            limit.
        temperature: divides the logits before sampling; 0 takes the most likely.
        top_k: samples from the k most likely pairs or tokens only; None keeps all.
        top_p: samples from the smallest set of most likely pairs or tokens whose
            probability reaches this; None keeps all.
    """

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        stop_threshold: float = 0.9,
        max_new_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        self.stop_threshold = stop_threshold
        self.max_new_tokens = max_new_tokens
        suppress_tokens = tokens.suppressed("pad", "bos", "mask", "cls")
        self.sample = PairSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: IlmModel,
        batch: IlmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Insert tokens into the slots until every row is complete."""
        rows = InsertionState(
            model,
            batch["input_ids"],
            batch["attention_mask"],
            batch["insertable"],
            batch["max_insertions"],
            limit=self.max_new_tokens,
            pad=self.tokens.pad,
            trace=trace,
        )
        while len(rows.active) > 0:
            hidden, stop = rows.forward()  # (A, K, D), (A, 2)

            # 1. Rows whose probability of being complete is high enough are finished.
            complete = stop.double().softmax(-1)[:, 1] >= self.stop_threshold  # (A,)
            hidden = rows.finish(complete, hidden)

            # 2. Draw a slot and a token as one pair for every other row.
            slot, token = self.sample(hidden, model.head, rows.missing, generator)
            rows.insert(slot, token)
        return rows.generation()
