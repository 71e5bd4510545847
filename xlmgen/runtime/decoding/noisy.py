"""Decoding state of rows whose tokens are all redrawn in every step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from xlmgen.runtime.decoding.fixed_length import FixedLengthState
from xlmgen.runtime.nn.head import LanguageModel
from xlmgen.runtime.sampling import uniform
from xlmgen.runtime.uniform_noise import draw_uniform

__all__ = ["NoisyState"]


class NoisyState(FixedLengthState):
    """Rows of noisy tokens at the positions to fill.

    Shapes: B rows, L positions, N selected positions, V vocabulary.

    Args:
        model: called as `model(input_ids, attention_mask, positions=…)`, and with
            `t=…` if it is time-conditioned.
        input_ids: (B, L), with MASK at positions to fill.
        attention_mask: (B, L) bool or None.
        fillable: (B, L) bool; all other positions are given and do not change.
        vocab_size: V.
        suppress_tokens: ids that are no noise.
        trace: whether to record the step at which each token changes.
    """

    def __init__(
        self,
        model: LanguageModel,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        fillable: Tensor,
        vocab_size: int,
        suppress_tokens: Sequence[int],
        *,
        trace: bool = False,
    ) -> None:
        super().__init__(model, input_ids, attention_mask, fillable, trace=trace)
        self.vocab_size = vocab_size
        self.suppress_tokens = suppress_tokens
        self.untraced = fillable  # positions without an entry in the trace

    def noise(self, where: Tensor, generator: torch.Generator | None) -> Tensor:
        """Random tokens (N,) for the N true positions of `where` (B, L)."""
        return draw_uniform(
            (int(where.sum()),),
            self.vocab_size,
            self.suppress_tokens,
            generator,
            device=self.ids.device,
        )

    def uniform(self, where: Tensor, generator: torch.Generator | None) -> Tensor:
        """(N,) float64 draws from [0, 1), one for each true position of `where`."""
        return uniform((int(where.sum()),), self.ids.device, generator)

    def logits(self, where: Tensor, t: float | None = None) -> Tensor:
        """Logits (N, V) at the N true positions of `where` (B, L), in one forward pass.

        Only rows with a true position take part.

        Args:
            where: (B, L) bool.
            t: time of all rows, for time-conditioned models.
        """
        times = None
        if t is not None:
            times = torch.full((len(where),), t, device=self.ids.device)
        return self.forward(self.ids, where, times)

    def write(self, where: Tensor, tokens: Tensor, step: int) -> None:
        """Write tokens (N,) at the N true positions of `where` (B, L)."""
        if self.tracer:
            changed = (self.ids[where] != tokens) | self.untraced[where]
            written = where.masked_scatter(where, changed)
            self.tracer.write(step, written, tokens[changed])
            self.untraced = self.untraced & ~written
        self.ids[where] = tokens
