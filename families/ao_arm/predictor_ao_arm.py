# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: one position per pass, in a random order of each row.

Shapes: B rows, L positions, D width of the hidden states, V vocabulary.
"""

import torch

from xlmgen.runtime.generation import Generation, Tracer
from xlmgen.runtime.ordering import sort_prompts
from xlmgen.runtime.sampling import TokenSampler, uniform
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_ao_arm import AoArmModel
from .types_ao_arm import AoArmPrompt


class AoArmPredictor:
    """Ancestral sampling with a key–value cache; exact at temperature 1.

    Every row fills its positions in an order of its own, drawn at random.

    Args:
        tokens: ids of the special tokens; BOS, MASK and CLS are never generated.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: draw from the k most likely tokens only.
        top_p: draw from the smallest set of tokens whose mass reaches p.
    """

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        suppress_tokens = tokens.suppressed("bos", "mask", "cls")
        self.sample = TokenSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: AoArmModel,
        batch: AoArmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill all positions of every row."""
        # 1. Sort every row: pads, given tokens, then its positions to fill.
        prompt, fillable = batch["input_ids"], batch["fillable"]
        u = uniform(prompt.shape, prompt.device, generator)
        rows = sort_prompts(prompt, batch["attention_mask"], fillable, u)
        ids, num_given = rows.ids, rows.num_given
        tracer = Tracer() if trace else None

        cache = model.new_cache(*ids.shape)
        for step, end in enumerate(range(num_given, ids.shape[1])):
            # 2. Logits of the next token; first after all given tokens, then per token.
            new = slice(end - 1 if step else 0, end)
            length = new.stop - new.start
            last = torch.arange(1, len(ids) + 1, device=ids.device) * length - 1
            hidden = model(
                ids[:, new],
                rows.mask_until(end),
                position_ids=rows.position_ids[:, new],
                next_position_ids=rows.position_ids[:, new.start + 1 : end + 1],
                positions=last,
                cache=cache,
            )  # (B, D)
            token = self.sample(model.head(hidden), generator)  # (B,)

            # 3. Fill the next position, where it is not given.
            fills = rows.target_mask[:, end]
            ids[:, end] = torch.where(fills, token, ids[:, end])
            if tracer:
                row = fills.nonzero().squeeze(1)
                tracer.write_at(step, row, rows.columns[row, end], token[row])
        passes = ids.shape[1] - num_given
        ids = rows.restore(ids)
        return Generation(ids, fillable, passes, tracer.trace() if tracer else None)
