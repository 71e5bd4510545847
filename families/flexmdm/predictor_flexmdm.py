# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generation: masks are inserted and revealed until the row is complete.

Shapes: B rows, L positions, N chosen positions, V vocabulary.
"""

import torch
from torch import nn

from xlmgen.runtime.decoding.flexible_length import GrowingRows
from xlmgen.runtime.noise import LinearSchedule, Rising
from xlmgen.runtime.sampling import Generation, TokenSampler
from xlmgen.runtime.special_tokens import SpecialTokens

from .types_flexmdm import FlexmdmPrompt


class FlexmdmPredictor:
    """Masks are inserted and revealed until the row is complete.

    The process of arXiv:2509.01025 in steps of equal length. Exact as the steps grow:
    what is revealed and inserted in one step is drawn independently.

    Args:
        tokens: ids of the special tokens; PAD, BOS, MASK, CLS are never generated.
        steps: number of steps from what is given to the whole row.
        max_new_tokens: at most so many tokens are inserted; None is the task's answer.
        temperature: divides the logits; 0 takes the most likely token.
        top_k: draw from the k most likely tokens only.
        top_p: draw from the smallest set of tokens whose mass reaches p.
    """

    insert = Rising(LinearSchedule())
    unmask = Rising(LinearSchedule())

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
        never = tokens.never("pad", "bos", "mask", "cls")
        self.sample = TokenSampler(never, temperature, top_k, top_p)

    @torch.inference_mode()
    def generate(
        self,
        model: nn.Module,
        batch: FlexmdmPrompt,
        generator: torch.Generator | None = None,
        trace: bool = False,
    ) -> Generation:
        """Fill the free gaps; what is given never changes."""
        room = batch["room"]
        if self.max_new_tokens is not None:
            room = room.clamp(max=self.max_new_tokens)
        rows = GrowingRows(
            model,
            batch["input_ids"],
            batch["attention_mask"],
            batch["free"],
            room,
            mask=self.tokens.mask,
            pad=self.tokens.pad,
            trace=trace,
        )
        times = torch.linspace(0, 1, self.steps + 1, dtype=torch.float64)
        reveals, inserts = self.unmask.chances(times), self.insert.chances(times)
        for step, t in enumerate(times[:-1].tolist()):
            if not rows.unfinished.any():
                break
            # 1. From t to s every masked token is revealed with the same probability.
            reveal = rows.masked & (rows.uniform(generator) < reveals[step])
            logits, gap = rows.forward(reveal, t)  # (N, V), (B, L)
            rows.reveal(reveal, self.sample(logits, generator), step)

            # 2. Every gap receives its part of the tokens that are expected in it.
            expected = gap.double() * inserts[step]
            rows.insert(torch.poisson(expected, generator).long(), step)

        # 3. Nothing is missing now; one more pass reveals what came last.
        last = rows.masked
        if last.any():
            logits, _ = rows.forward(last, 1.0)
            rows.reveal(last, self.sample(logits, generator), self.steps)
        return rows.generation()
