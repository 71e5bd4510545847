"""The initial weights of a transformer."""

import math

import torch
from torch import nn

from xlmgen.runtime.nn.attention import Attention
from xlmgen.runtime.nn.feedforward import FeedForward, SwiGLU
from xlmgen.runtime.nn.head import Head
from xlmgen.runtime.nn.qwen2 import Qwen2Attention, Qwen2MLP
from xlmgen.runtime.nn.time import Modulation

BRANCHES = (Attention, FeedForward, SwiGLU, Qwen2Attention, Qwen2MLP)
"""Modules whose output is added to the stream; `out` is their last projection."""

LOGIT_STD = 0.4
"""Standard deviation of the first logits: σ²/2 = 0.08 nats above ln V."""


def initialise(model: nn.Module, layers: int) -> None:
    """Draw normal weights scaled by fan-in, for every width; biases start at zero.

    * Linear layers keep the variance of their input: std 1/√fan_in (LeCun et al. 1998,
      Efficient BackProp, section 4.6). A fixed 0.02, as GPT-2 has for width 768, leaves
      the attention of narrow networks uniform: its logits begin with a std of 0.01 at
      width 32, and queries and keys then get almost no gradient.
    * The last projection of each of the 2 · `layers` residual branches is divided by
      √(2 · layers), so that depth does not grow the stream (Radford et al. 2019, GPT-2,
      section 2.3).
    * Embeddings have std 1, the scale of what the branches add to them.
    * Output heads start near uniform: their logits have std `LOGIT_STD`. Where a head
      is tied to the embedding, both have its scale, and so have the branches.
    * Modulations by time start as the identity (`Modulation.reset`).
    """
    tied = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)} & {
        id(m.weight) for m in model.modules() if isinstance(m, Head)
    }
    stream = 1.0
    for module in model.modules():
        if isinstance(module, Modulation):
            module.reset()
        elif isinstance(module, nn.Embedding):
            width = module.weight.shape[1]
            stream = LOGIT_STD / math.sqrt(width) if id(module.weight) in tied else 1.0
            nn.init.normal_(module.weight, std=stream)
        elif isinstance(module, nn.Linear) and id(module.weight) not in tied:
            gain = LOGIT_STD if isinstance(module, Head) else 1.0
            fan_in(module.weight, gain)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, BRANCHES):
            fan_in(module.out.weight, stream / math.sqrt(2 * layers))


def fan_in(weight: torch.Tensor, gain: float) -> None:
    """Draw a matrix (out, in) from a normal distribution of std gain/√in."""
    nn.init.normal_(weight, std=gain / math.sqrt(weight.shape[1]))
