# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: tokens are drawn one at a time, from left to right.

Shapes: B rows, P prompt positions, V vocabulary.
"""

import torch

from xlmgen.runtime.generation import Generation, Tracer
from xlmgen.runtime.sampling import TokenSampler
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_arlm import ArlmModel
from .types_arlm import ArlmPrompt


class ArlmPredictor:
    """Ancestral sampling with a key–value cache; exact at temperature 1.

    A row ends at its first generated EOS or after `max_new_tokens`; an EOS in the
    prompt does not end it. Finished rows leave the batch.

    Args:
        tokens: ids of the special tokens; PAD, BOS, MASK and CLS are never generated.
        max_new_tokens: limit, EOS included; None means the task's limit.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: draw from the k most likely tokens only.
        top_p: draw from the smallest set of tokens whose mass reaches p.
    """

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        max_new_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        self.max_new_tokens = max_new_tokens
        suppress_tokens = tokens.suppressed("pad", "bos", "mask", "cls")
        self.sample = TokenSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: ArlmModel,
        batch: ArlmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Continue every prompt."""
        prompt, attention_mask = batch["input_ids"], batch["attention_mask"]
        max_new = self.max_new_tokens or batch["max_new_tokens"]
        rows, start = prompt.shape
        ids = torch.full((rows, start + max_new), self.tokens.pad, device=prompt.device)
        ids[:, :start] = prompt
        generated = torch.zeros_like(ids, dtype=torch.bool)
        tracer = Tracer() if trace else None

        cache = model.new_cache(rows, start + max_new)
        active = torch.arange(rows, device=prompt.device)  # unfinished rows
        new_ids, passes = prompt, 0
        for position in range(start, start + max_new):
            # 1. Logits of the last position; first after the prompt, then per token.
            length = new_ids.shape[1]
            last = torch.arange(1, len(active) + 1, device=ids.device) * length - 1
            hidden = model(
                new_ids, attention_mask, positions=last, cache=cache
            )  # (B, D)
            logits = model.head(hidden)  # (B, V)
            passes += 1

            # 2. Draw one token per row.
            token = self.sample(logits, generator)  # (B,)
            ids[active, position] = token
            generated[active, position] = True
            if tracer:
                where = torch.full_like(active, position)
                tracer.write_at(position - start, active, where, token)

            # 3. Rows that drew EOS leave the batch and the cache.
            unfinished = (token != self.tokens.eos).nonzero().squeeze(1)
            if len(unfinished) == 0:
                break
            if len(unfinished) < len(active):
                cache.keep(unfinished)
                active, token = active[unfinished], token[unfinished]
                if attention_mask is not None:
                    attention_mask = attention_mask[unfinished]
            new_ids = token[:, None]
            if attention_mask is not None:
                seen = attention_mask.new_ones(len(active), 1)
                attention_mask = torch.cat((attention_mask, seen), dim=1)
        return Generation(ids, generated, passes, tracer.trace() if tracer else None)
