# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Any-order autoregressive model (ao_arm).

Tokens are generated one at a time in any order: the network takes the position of the
token to predict. Its likelihood is exact in every order, keys and values are cached,
and holes are filled in the context of both sides.

arXiv:1906.08237, arXiv:2404.09562
"""

from xlmgen.runtime.family import Family

from .collator_ao_arm import COLLATORS
from .loss_ao_arm import AoArmLoss
from .metrics_ao_arm import AoArmMetrics
from .model_ao_arm import AoArmModel
from .predictor_ao_arm import AoArmPredictor

FAMILY = Family(
    name="ao_arm",
    title="Any-order autoregressive model",
    model=AoArmModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
    },
    loss=AoArmLoss,
    predictor=AoArmPredictor,
    collators=COLLATORS,
    metrics=AoArmMetrics,
)
