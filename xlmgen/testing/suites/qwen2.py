"""Tests of the Qwen2 network against a second implementation."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from xlmgen.testing.subject import FamilyTests
from xlmgen.testing.suites.model import IDS, call

HEADS, KV_HEADS, LAYERS = 4, 2, 2
LAYER = (
    "input_layernorm.weight",
    "mlp.down_proj.weight",
    "mlp.gate_proj.weight",
    "mlp.up_proj.weight",
    "post_attention_layernorm.weight",
    "self_attn.k_proj.bias",
    "self_attn.k_proj.weight",
    "self_attn.o_proj.weight",
    "self_attn.q_proj.bias",
    "self_attn.q_proj.weight",
    "self_attn.v_proj.bias",
    "self_attn.v_proj.weight",
)
"""Parameters of every layer in a released checkpoint."""


class Qwen2Tests(FamilyTests):
    """Parameter names of the released checkpoints, and logits of Qwen2's formulas."""

    def test_parameter_names_match_released_checkpoints(self) -> None:
        layers = {f"model.layers.{n}.{name}" for n in range(LAYERS) for name in LAYER}
        rest = {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"}
        assert set(self.network(layers=LAYERS).state_dict()) == layers | rest

    @pytest.mark.parametrize("scale", [1.0, 1e-3])
    def test_logits_match_reference_implementation(self, scale: float) -> None:
        """Small embeddings make the epsilon of the norms matter."""
        numbers = {"layers": LAYERS, "num_heads": HEADS, "num_kv_heads": KV_HEADS}
        model = self.network(d_model=32, ffn=48, **numbers)
        with torch.no_grad():
            weights = dict(model.named_parameters(remove_duplicate=False))
            weights["model.embed_tokens.weight"].mul_(scale)
            expected = self.logits({k: v.double() for k, v in weights.items()})
            torch.testing.assert_close(
                call(model, IDS).double(), expected, rtol=1e-4, atol=1e-5
            )

    def logits(self, weights: dict[str, Tensor]) -> Tensor:
        """Compute logits (B, L, V) of `IDS` in float64, from parameters by name."""
        x = weights["model.embed_tokens.weight"][IDS]
        for number in range(LAYERS):
            prefix = f"model.layers.{number}."
            layer = {name: weights[prefix + name] for name in LAYER}
            x = x + self.attention(self.norm(x, layer["input_layernorm.weight"]), layer)
            y = self.norm(x, layer["post_attention_layernorm.weight"])
            gate = F.linear(y, layer["mlp.gate_proj.weight"])
            up = F.linear(y, layer["mlp.up_proj.weight"])
            x = x + F.linear(F.silu(gate) * up, layer["mlp.down_proj.weight"])
        logits = F.linear(
            self.norm(x, weights["model.norm.weight"]), weights["lm_head.weight"]
        )
        if self.spec.model.options["shift"]:
            logits = torch.stack(
                [logits[:, max(0, i - 1)] for i in range(x.shape[1])], 1
            )
        return logits

    def norm(self, x: Tensor, weight: Tensor) -> Tensor:
        """Compute the root-mean-square norm."""
        mean_square = x.square().mean(-1, keepdim=True)
        return weight * x / (mean_square + self.spec.model.options["norm_eps"]).sqrt()

    def attention(self, x: Tensor, layer: dict[str, Tensor]) -> Tensor:
        """Compute softmax attention, one head at a time: (B, L, D) → (B, L, D)."""

        def project(name: str) -> list[Tensor]:
            weight, bias = (layer[f"self_attn.{name}.{k}"] for k in ("weight", "bias"))
            heads = F.linear(x, weight, bias).view(*x.shape[:2], -1, size)
            return list(heads.unbind(-2))

        length = x.shape[1]
        size = x.shape[2] // HEADS
        q, k, v = (project(f"{name}_proj") for name in "qkv")
        seen = torch.ones(length, length, dtype=torch.bool)
        if self.causal:
            seen = seen.tril()
        found = []
        for head in range(HEADS):
            group = head * KV_HEADS // HEADS
            scores = self.rotated(q[head]) @ self.rotated(k[group]).mT / math.sqrt(size)
            scores = scores.masked_fill(~seen, -torch.inf)
            found.append(scores.softmax(-1) @ v[group])
        return F.linear(torch.cat(found, -1), layer["self_attn.o_proj.weight"])

    def rotated(self, x: Tensor) -> Tensor:
        """Rotate pairs (i, i + half) of (B, L, size) by position · θ^(−2i / size)."""
        half = x.shape[-1] // 2
        theta = float(self.spec.model.options["rope_theta"])
        turned = x.clone()
        for position in range(x.shape[1]):
            for i in range(half):
                angle = position * theta ** (-i / half)
                a, b = x[:, position, i], x[:, position, i + half]
                turned[:, position, i] = a * math.cos(angle) - b * math.sin(angle)
                turned[:, position, i + half] = b * math.cos(angle) + a * math.sin(
                    angle
                )
        return turned
