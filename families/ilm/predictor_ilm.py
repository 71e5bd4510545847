# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: one token at a time is inserted, anywhere in the answer.

Shapes: A active rows, K slots, D width of the hidden states.
"""

import torch
from torch import nn

from xlmgen.runtime.decoding.insertion import InsertionRows, PairSampler
from xlmgen.runtime.sampling import Generation
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_ilm import IlmPrompt


class IlmPredictor:
    """One token at a time is inserted, anywhere in the answer (arXiv:2505.05755).

    The slot and the token are drawn as one pair. A row ends once the network is sure
    enough that it is complete: a heuristic. Finished rows leave the batch.

    Args:
        tokens: ids of the special tokens; PAD, BOS, MASK and CLS are never generated.
        stop_threshold: a row ends when it is complete with at least this probability.
        max_new_tokens: at most so many tokens; None is the task's answer.
        temperature: divides the logits; 0 takes the most likely pair.
        top_k: draw from the k most likely pairs only.
        top_p: draw from the smallest set of pairs whose mass reaches p.
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
        never = tokens.never("pad", "bos", "mask", "cls")
        self.sample = PairSampler(never, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: nn.Module,
        batch: IlmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill every slot with as many tokens as belong there."""
        rows = InsertionRows(
            model,
            batch["input_ids"],
            batch["attention_mask"],
            batch["slots"],
            batch["room"],
            limit=self.max_new_tokens,
            pad=self.tokens.pad,
            trace=trace,
        )
        while len(rows.active) > 0:
            hidden, stop = rows.forward()  # (A, K, D), (A, 2)

            # 1. Rows that are complete with enough certainty leave the batch.
            complete = stop.double().softmax(-1)[:, 1] >= self.stop_threshold  # (A,)
            hidden = rows.finish(complete, hidden)

            # 2. A slot and a token for every other, drawn as one pair.
            slot, token = self.sample(hidden, model.head, rows.missing, generator)
            rows.insert(slot, token)
        return rows.generation()
