# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Score entropy discrete diffusion (sedd).

Masked diffusion whose network predicts ratios of probabilities instead of
probabilities: how much likelier a row becomes with a token in place of a MASK. The loss
is score entropy and bounds the likelihood; generation is that of mdlm.

arXiv:2310.16834
"""

from xlmgen.runtime.family import Family

from .collator_sedd import COLLATORS
from .loss_sedd import SeddLoss
from .metrics_sedd import SeddMetrics
from .model_sedd import SeddModel
from .predictor_sedd import SeddPredictor

FAMILY = Family(
    name="sedd",
    title="Score entropy discrete diffusion",
    model=SeddModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=SeddLoss,
    predictor=SeddPredictor,
    collators=COLLATORS,
    metrics=SeddMetrics,
)
