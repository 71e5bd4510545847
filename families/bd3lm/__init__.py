# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Block diffusion language model (bd3lm).

The answer is cut into blocks that are generated from left to right; within a block,
masked tokens are recovered in any order. Answers may have any length, and finished
blocks are read from a cache.

arXiv:2503.09573
"""

from xlmgen.runtime.family import Family

from .collator_bd3lm import COLLATORS
from .loss_bd3lm import Bd3lmLoss
from .metrics_bd3lm import Bd3lmMetrics
from .model_bd3lm import Bd3lmModel
from .predictor_bd3lm import Bd3lmPredictor

FAMILY = Family(
    name="bd3lm",
    title="Block diffusion language model",
    model=Bd3lmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=Bd3lmLoss,
    predictor=Bd3lmPredictor,
    collators=COLLATORS,
    metrics=Bd3lmMetrics,
)
