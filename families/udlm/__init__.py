# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Uniform diffusion language model (udlm).

Tokens are replaced by random ones at the rate of a noise schedule. The network learns
each clean token from all noisy tokens but its own; the loss bounds the likelihood.
Generation starts from random tokens and can correct every token until the last step.

arXiv:2412.10193, arXiv:2506.10892
"""

from xlmgen.runtime.family import Family

from .collator_udlm import COLLATORS
from .loss_udlm import UdlmLoss
from .metrics_udlm import UdlmMetrics
from .model_udlm import UdlmModel
from .predictor_udlm import UdlmPredictor

FAMILY = Family(
    name="udlm",
    title="Uniform diffusion language model",
    model=UdlmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=UdlmLoss,
    predictor=UdlmPredictor,
    collators=COLLATORS,
    metrics=UdlmMetrics,
)
