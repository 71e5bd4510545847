# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Generalized interpolating discrete diffusion (gidd).

Noise is MASK for some tokens and a random token for others, in shares that change with
time. The network learns to doubt what it sees, so generation can correct tokens that it
has revealed. The loss bounds the likelihood.

arXiv:2503.04482
"""

from xlmgen.runtime.family import Family

from .collator_gidd import COLLATORS
from .loss_gidd import GiddLoss
from .metrics_gidd import GiddMetrics
from .model_gidd import GiddModel
from .predictor_gidd import GiddPredictor

FAMILY = Family(
    name="gidd",
    title="Generalized interpolating discrete diffusion",
    model=GiddModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=GiddLoss,
    predictor=GiddPredictor,
    collators=COLLATORS,
    metrics=GiddMetrics,
)
