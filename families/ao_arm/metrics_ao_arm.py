# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Metrics of the loss, accumulated over batches on the device."""

from torch import Tensor

from xlmgen.runtime.metrics import NllMetric


class AoArmMetrics(NllMetric):
    """Upper bounds on NLL: nats per token, perplexity, and nats per sequence."""

    def compute(self) -> dict[str, Tensor]:
        bound = self.per_token()
        bounds = {"nll_bound": bound, "perplexity_bound": bound.exp()}
        return bounds | {"sequence_nll_bound": self.per_sequence()}
