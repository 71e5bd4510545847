# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Large language diffusion model (llada).

Masked diffusion on the network of today's language models, which is not told the time.
The loss bounds the likelihood; generation goes from left to right in blocks, and in a
block reveals first what the model is surest of.

arXiv:2502.09992
"""

from xlmgen.runtime.family import Family

from .collator_llada import COLLATORS
from .loss_llada import LladaLoss
from .metrics_llada import LladaMetrics
from .model_llada import LladaModel
from .predictor_llada import LladaPredictor

FAMILY = Family(
    name="llada",
    title="Large language diffusion model",
    model=LladaModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=LladaLoss,
    predictor=LladaPredictor,
    collators=COLLATORS,
    metrics=LladaMetrics,
)
