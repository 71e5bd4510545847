# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Metrics of the loss, accumulated over batches on the device."""

from torch import Tensor

from xlmgen.runtime.metrics import NllMetric


class GiddMetrics(NllMetric):
    """Weighted cross-entropy of the masked tokens; no bound on the likelihood."""

    def compute(self) -> dict[str, Tensor]:
        return {"weighted_cross_entropy": self.per_token()}
