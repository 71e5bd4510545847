# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Masked diffusion of any length (flexmdm).

Masks are inserted and revealed at the rates of two schedules, so that a sequence grows
to its own length in any order. The loss bounds the likelihood of content and length.

arXiv:2509.01025
"""

from xlmgen.runtime.family import Family

from .collator_flexmdm import COLLATORS
from .loss_flexmdm import FlexmdmLoss
from .metrics_flexmdm import FlexmdmMetrics
from .model_flexmdm import FlexmdmModel
from .predictor_flexmdm import FlexmdmPredictor

FAMILY = Family(
    name="flexmdm",
    title="Masked diffusion of any length",
    model=FlexmdmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=FlexmdmLoss,
    predictor=FlexmdmPredictor,
    collators=COLLATORS,
    metrics=FlexmdmMetrics,
)
