# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Score entropy discrete diffusion with uniform noise (sedd_uniform).

Tokens are replaced by random ones. The network predicts ratios of probabilities: how
much likelier a row of noisy tokens becomes with another token in place of one. The loss
is score entropy and bounds the likelihood; generation starts from random tokens.

arXiv:2310.16834
"""

from xlmgen.runtime.family import Family

from .collator_sedd_uniform import COLLATORS
from .loss_sedd_uniform import SeddUniformLoss
from .metrics_sedd_uniform import SeddUniformMetrics
from .model_sedd_uniform import SeddUniformModel
from .predictor_sedd_uniform import SeddUniformPredictor

FAMILY = Family(
    name="sedd_uniform",
    title="Score entropy discrete diffusion with uniform noise",
    model=SeddUniformModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=SeddUniformLoss,
    predictor=SeddUniformPredictor,
    collators=COLLATORS,
    metrics=SeddUniformMetrics,
)
