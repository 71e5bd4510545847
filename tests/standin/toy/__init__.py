"""A stand-in for a rendered family: small, quick, with dropout and a random loss.

The loss draws noise of its own where `noise` is set, as losses that corrupt on the
device do.
"""

import torch
from torch import nn

from xlmgen.runtime.collate.layout import prompt_layout, seq2seq_layout
from xlmgen.runtime.family import Family
from xlmgen.runtime.generation import Generation, Tracer
from xlmgen.runtime.metrics import NllMetric


class ToyModel(nn.Module):
    """Predicts a token from the one before it and the mean of all before."""

    def __init__(self, vocab_size, d_model, layers, num_heads, dropout=0.1):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, d_model)
        self.norm = nn.LayerNorm(d_model)
        self.mix = nn.ModuleList(
            nn.Sequential(nn.Linear(d_model, d_model), nn.ReLU()) for _ in range(layers)
        )
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(d_model, vocab_size, bias=False)

    def forward(self, input_ids):
        hidden = self.embed(input_ids)
        count = torch.arange(1, hidden.shape[1] + 1, device=hidden.device)[:, None]
        hidden = hidden + hidden.cumsum(1) / count
        for layer in self.mix:
            hidden = hidden + self.drop(layer(self.norm(hidden)))
        return self.head(hidden)


class ToyLoss:
    noise = 0.0

    def __init__(self, tokens):
        self.tokens = tokens

    def __call__(self, model, batch):
        logits = model(batch["input_ids"]).transpose(1, 2)
        target = batch["target_ids"]
        nll = nn.functional.cross_entropy(logits, target, reduction="none").sum(-1)
        if self.noise:
            nll = nll + self.noise * torch.randn_like(nll)
        num_tokens = (target != -100).sum(-1)
        loss = nll.sum() / num_tokens.sum()
        return {"loss": loss, "row_loss": nll, "normalizer": num_tokens}


class ToyPredictor:
    def __init__(self, tokens, *, max_new_tokens=None, temperature=0.0):
        self.tokens = tokens
        self.max_new_tokens = max_new_tokens

    @torch.inference_mode()
    def generate(self, model, batch, generator=None, trace=False):
        ids, tracer = batch["input_ids"], Tracer()
        start = ids.shape[1]
        room = self.max_new_tokens or batch["max_new_tokens"]
        for step in range(room):
            token = model(ids)[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, token], 1)
            here = torch.arange(ids.shape[1]).expand_as(ids) == start + step
            tracer.write(step, here, token.flatten())
        generated = torch.arange(ids.shape[1]).expand_as(ids) >= start
        return Generation(ids, generated, room, tracer.trace() if trace else None)


class ToySeq2SeqCollator:
    def __init__(self, tokens, max_length, *, evaluation=False):
        self.tokens, self.max_length = tokens, max_length

    def __call__(self, examples, generator=None):
        clean = seq2seq_layout(
            examples,
            self.tokens,
            self.max_length,
            bos=True,
            eos=True,
            pad_to_max_length=False,
        )
        target = clean.ids[:, 1:].masked_fill(~clean.target_mask[:, 1:], -100)
        return {"input_ids": clean.ids[:, :-1], "target_ids": target}


class ToyPredictCollator:
    def __init__(self, tokens, max_length):
        self.tokens, self.max_length = tokens, max_length

    def __call__(self, examples, generator=None):
        prompt = prompt_layout(examples, self.tokens, self.max_length, bos=True)
        return {"input_ids": prompt.ids, "max_new_tokens": self.max_length.answer}


class ToyMetrics(NllMetric):
    def compute(self):
        return {"nll": self.per_token()}


FAMILY = Family(
    name="toy",
    title="A stand-in that is trained in seconds",
    model=ToyModel,
    sizes={"tiny": {"d_model": 16, "layers": 1, "num_heads": 1}},
    loss=ToyLoss,
    predictor=ToyPredictor,
    collators={"seq2seq": ToySeq2SeqCollator, "predict": ToyPredictCollator},
    metrics=ToyMetrics,
)
