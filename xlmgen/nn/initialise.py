"""The initial weights of a transformer."""

import math

from torch import nn

from xlmgen.nn.attention import Attention
from xlmgen.nn.feedforward import FeedForward, SwiGLU
from xlmgen.nn.qwen2 import Qwen2Attention, Qwen2MLP
from xlmgen.nn.time import Modulation

BRANCHES = (Attention, FeedForward, SwiGLU, Qwen2Attention, Qwen2MLP)
"""What is added to the stream; `out` is the last projection of each."""


def initialise(model: nn.Module, layers: int, std: float = 0.02) -> None:
    """Normal weights, zero biases, as in GPT-2; modulations start at zero.

    The last projection of every residual branch is divided by √(2 · layers), so that
    the variance of the stream does not grow with depth.
    """
    for module in model.modules():
        if isinstance(module, Modulation):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=std)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, BRANCHES):
            nn.init.normal_(module.out.weight, std=std / math.sqrt(2 * layers))
