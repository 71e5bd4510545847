"""Families with uniform noise at the extremes of their options."""

import torch

from xlmgen import resources
from xlmgen.render import render
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.testing.oracle import FixedLogits
from xlmgen.testing.subject import TOKENS, import_family
from xlmgen.testing.toy import make_toy, seeded


def test_steps_within_noise_alone_generate(tmp_path):
    """With this σ_max, α is 0 in float64 for the first steps."""
    text = (resources.root() / "families/udlm/family.yaml").read_text("utf-8")
    text = text.replace("kind: linear", "kind: geometric, sigma_max: 1000")
    for path, content in render(family_spec(load_yaml("family.yaml", text))).items():
        (tmp_path / "udlm" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "udlm" / path).write_text(content, "utf-8")
    family = import_family(tmp_path / "udlm")
    logits = torch.full((TOKENS.vocab_size,), -40.0)
    logits[6] = 0.0
    toy = make_toy(TOKENS, prompts=[()], lengths=[3], bos=False, eos=False, pads=False)
    ids = torch.full((4, 5), TOKENS.mask)
    batch = {
        "input_ids": ids,
        "attention_mask": None,
        "fillable": torch.ones_like(ids, dtype=torch.bool),
    }
    out = family.predictor(TOKENS).generate(FixedLogits(toy, logits), batch, seeded())
    assert (out.ids == 6).all()
