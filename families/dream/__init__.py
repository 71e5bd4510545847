# Rendered by xlmgen from family.yaml. Change the YAML and run `xlmgen new family.yaml`,
# or edit this file: xlmgen never overwrites an edit.
"""Diffusion language model from an autoregressive backbone (dream).

The network of Qwen2 with attention to both sides: masked tokens are predicted one
position to their right, as the backbone has learnt it. The loss counts a masked token
by what is visible near it; the surest tokens are revealed first.

arXiv:2508.15487
"""

from xlmgen.runtime.family import Family

from .collator_dream import COLLATORS
from .loss_dream import DreamLoss
from .metrics_dream import DreamMetrics
from .model_dream import DreamModel
from .predictor_dream import DreamPredictor

FAMILY = Family(
    name="dream",
    title="Diffusion language model from an autoregressive backbone",
    model=DreamModel,
    sizes={
        "tiny": {"d_model": 128, "layers": 4, "num_heads": 4},
        "small": {"d_model": 768, "layers": 12, "num_heads": 12},
        "dream_7b": {
            "d_model": 3584,
            "layers": 28,
            "num_heads": 28,
            "num_kv_heads": 4,
            "ffn": 18944,
        },
    },
    loss=DreamLoss,
    predictor=DreamPredictor,
    collators=COLLATORS,
    metrics=DreamMetrics,
)
