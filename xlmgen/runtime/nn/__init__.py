"""The layers that rendered models are built from."""

from xlmgen.runtime.nn.absolute import AbsolutePositions
from xlmgen.runtime.nn.attention import Attention, causal_mask, key_mask
from xlmgen.runtime.nn.blocks import block_diffusion_mask
from xlmgen.runtime.nn.cache import ColumnCache, KeyValueCache
from xlmgen.runtime.nn.cross_entropy import (
    linear_cross_entropy,
    linear_logsumexp,
    linear_scores,
    linear_total,
)
from xlmgen.runtime.nn.feedforward import FeedForward, SwiGLU
from xlmgen.runtime.nn.head import Head, LanguageModel
from xlmgen.runtime.nn.initialise import initialise
from xlmgen.runtime.nn.linear import Linear
from xlmgen.runtime.nn.mixture import linear_mixture
from xlmgen.runtime.nn.positions import select_positions
from xlmgen.runtime.nn.qwen2 import Qwen2Attention, Qwen2MLP
from xlmgen.runtime.nn.rotary import Rotary, token_positions
from xlmgen.runtime.nn.segments import segment_logsumexp, segment_sum
from xlmgen.runtime.nn.shift import previous
from xlmgen.runtime.nn.time import Modulation, TimeEmbedding, modulate

__all__ = [
    "AbsolutePositions",
    "Attention",
    "ColumnCache",
    "FeedForward",
    "Head",
    "KeyValueCache",
    "LanguageModel",
    "Linear",
    "Modulation",
    "Qwen2Attention",
    "Qwen2MLP",
    "Rotary",
    "SwiGLU",
    "TimeEmbedding",
    "block_diffusion_mask",
    "causal_mask",
    "initialise",
    "key_mask",
    "linear_cross_entropy",
    "linear_logsumexp",
    "linear_mixture",
    "linear_scores",
    "linear_total",
    "modulate",
    "previous",
    "segment_logsumexp",
    "segment_sum",
    "select_positions",
    "token_positions",
]
