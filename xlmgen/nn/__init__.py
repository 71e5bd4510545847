"""The layers that rendered models are built from."""

from xlmgen.nn.absolute import AbsolutePositions
from xlmgen.nn.attention import Attention, causal_mask, key_mask
from xlmgen.nn.blocks import block_diffusion_mask
from xlmgen.nn.cache import KeyValueCache
from xlmgen.nn.chosen import columns_of, take
from xlmgen.nn.dropout import Dropout
from xlmgen.nn.feedforward import FeedForward, SwiGLU
from xlmgen.nn.head import Head
from xlmgen.nn.initialise import initialise
from xlmgen.nn.linear import Linear
from xlmgen.nn.logits import cross_entropy, log_partition_and_scores
from xlmgen.nn.qwen2 import Qwen2Attention, Qwen2MLP
from xlmgen.nn.rotary import Rotary, token_positions
from xlmgen.nn.segments import segment_logsumexp, segment_sum
from xlmgen.nn.shift import previous
from xlmgen.nn.time import Modulation, TimeEmbedding, modulate

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
