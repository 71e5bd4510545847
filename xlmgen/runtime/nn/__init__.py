"""The layers that rendered models are built from."""

from xlmgen.runtime.nn.absolute import AbsolutePositions
from xlmgen.runtime.nn.attention import Attention, causal_mask, key_mask
from xlmgen.runtime.nn.blocks import block_diffusion_mask
from xlmgen.runtime.nn.cache import KeyValueCache
from xlmgen.runtime.nn.chosen import columns_of, take
from xlmgen.runtime.nn.dropout import Dropout
from xlmgen.runtime.nn.feedforward import FeedForward, SwiGLU
from xlmgen.runtime.nn.head import Head
from xlmgen.runtime.nn.initialise import initialise
from xlmgen.runtime.nn.linear import Linear
from xlmgen.runtime.nn.logits import cross_entropy, log_partition_and_scores
from xlmgen.runtime.nn.qwen2 import Qwen2Attention, Qwen2MLP
from xlmgen.runtime.nn.rotary import Rotary, token_positions
from xlmgen.runtime.nn.segments import segment_logsumexp, segment_sum
from xlmgen.runtime.nn.shift import previous
from xlmgen.runtime.nn.time import Modulation, TimeEmbedding, modulate

__all__ = [
    "AbsolutePositions",
    "Attention",
    "Dropout",
    "FeedForward",
    "Head",
    "KeyValueCache",
    "Linear",
    "Modulation",
    "Qwen2Attention",
    "Qwen2MLP",
    "Rotary",
    "SwiGLU",
    "TimeEmbedding",
    "block_diffusion_mask",
    "causal_mask",
    "columns_of",
    "cross_entropy",
    "initialise",
    "key_mask",
    "log_partition_and_scores",
    "modulate",
    "previous",
    "segment_logsumexp",
    "segment_sum",
    "take",
    "token_positions",
]
