# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Masked language model (mlm).

A share of the tokens, drawn anew for every row, is masked and recovered. The loss is
the plain mean over what was masked; generation reveals several tokens per forward pass.

arXiv:1810.04805, arXiv:1904.09324
"""

from xlmgen.runtime.family import Family

from .collator_mlm import COLLATORS
from .loss_mlm import MlmLoss
from .metrics_mlm import MlmMetrics
from .model_mlm import MlmModel
from .predictor_mlm import MlmPredictor

FAMILY = Family(
    name="mlm",
    title="Masked language model",
    model=MlmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=MlmLoss,
    predictor=MlmPredictor,
    collators=COLLATORS,
    metrics=MlmMetrics,
)
