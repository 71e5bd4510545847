# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: masks are inserted and revealed until the row is complete.

Shapes: B rows, L positions, N selected positions, V vocabulary.
"""

import torch

from xlmgen.runtime.decoding.flexible_length import FlexibleLengthState
from xlmgen.runtime.generation import Generation
from xlmgen.runtime.noise import LinearSchedule, step_probs
from xlmgen.runtime.sampling import TokenSampler
from xlmgen.runtime.special_tokens import SpecialTokens

from .model_flexmdm import FlexmdmModel
from .types_flexmdm import FlexmdmPrompt


class FlexmdmPredictor:
    """Masks are inserted and revealed until the row is complete.

    The process of arXiv:2509.01025 in steps of equal length. Exact as the number of
    steps grows: tokens revealed or inserted in one step are drawn independently.

    Args:
        tokens: ids of the special tokens; PAD, BOS, MASK, CLS are never generated.
        steps: number of steps from the prompt to the complete row, one forward pass
            each.
        max_new_tokens: maximum number of tokens inserted into a row; None is the task's
            limit.
        temperature: divides the logits before sampling; 0 takes the most likely token.
        top_k: samples from the k most likely tokens only; None keeps all.
        top_p: samples from the smallest set of most likely tokens whose probability
            reaches this; None keeps all.
    """

    insert = LinearSchedule()
    unmask = LinearSchedule()

    def __init__(
        self,
        tokens: SpecialTokens,
        *,
        steps: int = 128,
        max_new_tokens: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> None:
        self.tokens = tokens
        self.steps = steps
        self.max_new_tokens = max_new_tokens
        suppress_tokens = tokens.suppressed("pad", "bos", "mask", "cls")
        self.sample = TokenSampler(suppress_tokens, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: FlexmdmModel,
        batch: FlexmdmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Insert tokens into the gaps that are free; given tokens never change."""
        max_insertions = batch["max_insertions"]
        if self.max_new_tokens is not None:
            max_insertions = max_insertions.clamp(max=self.max_new_tokens)
        rows = FlexibleLengthState(
            model,
            batch["input_ids"],
            batch["attention_mask"],
            batch["insertable"],
            max_insertions,
            mask=self.tokens.mask,
            pad=self.tokens.pad,
            trace=trace,
        )
        times = torch.linspace(1, 0, self.steps + 1, dtype=torch.float64)
        unmask_probs = step_probs(self.unmask, times)
        insert_noise = self.insert.noise(times)
        for step, t in enumerate(times[:-1].tolist()):
            if not rows.unfinished.any():
                break
            # 1. Reveal every masked token with the same probability.
            reveal = rows.masked & (rows.uniform(generator) < unmask_probs[step])
            logits, gap = rows.forward(reveal, t)  # (N, V), (B, L)
            rows.reveal(reveal, self.sample(logits, generator), step)

            # 2. Insert masks; their number is Poisson with this step's expectation.
            expected = gap.double() * (insert_noise[step] - insert_noise[step + 1])
            rows.insert(torch.poisson(expected, generator).long(), step)

        # 3. One more pass reveals the masks of the last step.
        last = rows.masked
        if last.any():
            logits, _ = rows.forward(last, 0.0)
            rows.reveal(last, self.sample(logits, generator), self.steps)
        return rows.generation()
