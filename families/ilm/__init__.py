# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Insertion language model (ilm).

Tokens are dropped and put back. The model says jointly where a token is missing and
which one, and when nothing is; generation inserts one token per forward pass.

arXiv:2505.05755
"""

from xlmgen.runtime.family import Family

from .collator_ilm import COLLATORS
from .loss_ilm import IlmLoss
from .metrics_ilm import IlmMetrics
from .model_ilm import IlmModel
from .predictor_ilm import IlmPredictor

FAMILY = Family(
    name="ilm",
    title="Insertion language model",
    model=IlmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=IlmLoss,
    predictor=IlmPredictor,
    collators=COLLATORS,
    metrics=IlmMetrics,
)
