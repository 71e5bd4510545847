# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Autoregressive language model (arlm).

The left-to-right baseline: every token is predicted from those before it. Its
likelihood is exact, and it generates one token per forward pass.

arXiv:1706.03762
"""

from xlmgen.runtime.family import Family

from .collator_arlm import COLLATORS
from .loss_arlm import ArlmLoss
from .metrics_arlm import ArlmMetrics
from .model_arlm import ArlmModel
from .predictor_arlm import ArlmPredictor

FAMILY = Family(
    name="arlm",
    title="Autoregressive language model",
    model=ArlmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=ArlmLoss,
    predictor=ArlmPredictor,
    collators=COLLATORS,
    metrics=ArlmMetrics,
)
