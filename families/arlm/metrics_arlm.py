# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Metrics of the loss, accumulated over batches on the device."""

from torch import Tensor

from xlmgen.runtime.metrics import NllMetric


class ArlmMetrics(NllMetric):
    """Exact NLL: nats per token, perplexity, and nats per sequence."""

    def compute(self) -> dict[str, Tensor]:
        nll = self.per_token()
        exact = {"nll": nll, "perplexity": nll.exp()}
        return exact | {"sequence_nll": self.per_sequence()}
