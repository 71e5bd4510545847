"""A small Qwen2 with random weights and a byte-level tokenizer, as released."""

import json
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import Qwen2Config, Qwen2ForCausalLM

from xlmgen.cli import main

NUMBERS = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 300,
}
END, MASK = 256, 257


@pytest.fixture
def make_checkpoint(tmp_path):
    """Write a checkpoint: `make_checkpoint(dtype=…, tie_word_embeddings=…)`."""

    def make(name="released", dtype=torch.float32, shard="20KB", **settings):
        torch.manual_seed(0)
        config = Qwen2Config(
            **NUMBERS,
            rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
            pad_token_id=END,
            bos_token_id=END,
            eos_token_id=END,
            **settings,
        )
        model = Qwen2ForCausalLM(config).to(dtype)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        folder = tmp_path / name
        model.save_pretrained(folder, max_shard_size=shard)
        rewrite(folder / "config.json", mask_token_id=MASK)
        backend().save(str(folder / "tokenizer.json"))
        return folder, model.eval()

    return make


def rewrite(path, **changes):
    """Change keys of a JSON file; None removes a key."""
    data = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({k: v for k, v in data.items() if v is not None}))


def backend():
    """Byte-level tokenizer with two special tokens at the end."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(
        add_prefix_space=False, use_regex=False
    )
    tokenizer.decoder = decoders.ByteLevel()
    names = ("<|endoftext|>", "<|mask|>")
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in names])
    return tokenizer


@pytest.fixture
def causal_family(tmp_path, monkeypatch):
    """Folder of a causal Qwen2 family with a tied head."""
    monkeypatch.chdir(tmp_path)
    lines = (
        "spec: xlmgen/family/v1",
        "name: tied",
        "title: Qwen2",
        "collator: {kind: causal}",
        "model: {kind: qwen2, attention: causal, tie_head: true}",
        "sizes: {tiny: {d_model: 32, layers: 1, num_heads: 4}}",
        "loss: {kind: next_token}",
        "predictor: {kind: left_to_right}",
    )
    Path("tied.yaml").write_text("\n".join(lines) + "\n")
    assert main(["new", "tied.yaml"]) == 0
    return tmp_path / "families" / "tied"
