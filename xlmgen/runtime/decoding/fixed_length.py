"""What decoding states of rows of fixed length have in common."""

from torch import Tensor

from xlmgen.runtime.generation import Generation, Tracer
from xlmgen.runtime.nn.head import LanguageModel


class FixedLengthState:
    """Rows of tokens, some of which a model fills, and the passes it took.

    Shapes: B rows, L positions, N selected positions, V vocabulary.

    Args:
        model: called as `model(input_ids, attention_mask, positions=…)`, and with
            `t=…` if it is time-conditioned.
        input_ids: (B, L), with MASK at positions to fill.
        attention_mask: (B, L) bool or None.
        fillable: (B, L) bool; all other positions are given and do not change.
        trace: whether to record the step at which each token is written.
    """

    def __init__(
        self,
        model: LanguageModel,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        fillable: Tensor,
        *,
        trace: bool,
    ) -> None:
        self.model = model
        self.ids = input_ids.clone()
        self.attention_mask = attention_mask
        self.fillable = fillable
        self.forward_passes = 0
        self.tracer = Tracer() if trace else None

    def forward(self, ids: Tensor, where: Tensor, t: Tensor | None) -> Tensor:
        """Logits (N, V) at the N true positions of `where` (B, L), in one forward pass.

        Only rows with a true position take part, and the head runs only on those
        positions.

        Args:
            ids: (B, L).
            where: (B, L) bool.
            t: (B,), for time-conditioned models.
        """
        rows = where.any(1).nonzero().squeeze(1)
        positions = where[rows].flatten().nonzero().squeeze(1)
        attended = self.attention_mask
        time = {} if t is None else {"t": t[rows].float()}
        self.forward_passes += 1
        hidden = self.model(
            ids[rows],
            None if attended is None else attended[rows],
            positions=positions,
            **time,
        )
        logits: Tensor = self.model.head(hidden)
        return logits

    def generation(self) -> Generation:
        """The rows as they are."""
        return Generation(
            ids=self.ids,
            generated=self.fillable,
            forward_passes=self.forward_passes,
            trace=self.tracer.trace() if self.tracer else None,
        )
