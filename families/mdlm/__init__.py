# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Masked diffusion language model (mdlm).

Tokens are masked at the rate of a noise schedule and recovered in any order. The loss
bounds the likelihood; generation reveals several tokens per forward pass.

arXiv:2406.07524
"""

from xlmgen.runtime.family import Family

from .collator_mdlm import COLLATORS
from .loss_mdlm import MdlmLoss
from .metrics_mdlm import MdlmMetrics
from .model_mdlm import MdlmModel
from .predictor_mdlm import MdlmPredictor

FAMILY = Family(
    name="mdlm",
    title="Masked diffusion language model",
    model=MdlmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=MdlmLoss,
    predictor=MdlmPredictor,
    collators=COLLATORS,
    metrics=MdlmMetrics,
)
