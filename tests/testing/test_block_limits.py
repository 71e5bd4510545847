"""One block of the answer's length equals masked diffusion, with equal weights.

The other limit, blocks of one token, is in the kit's `BlockBoundTests`.
"""

import pytest
import torch

from xlmgen import resources
from xlmgen.render import render
from xlmgen.spec.family import family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.testing.subject import TOKENS, import_family

SIZE = {"d_model": 16, "layers": 2, "num_heads": 2, "dropout": 0.0}
CLEAN = torch.tensor([[5, 6, 7, 2, 0], [7, 7, 2, 0, 0], [6, 5, 5, 7, 2]])


def family(name, folder, *changes):
    text = (resources.root() / "families" / name / "family.yaml").read_text("utf-8")
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    for path, content in render(family_spec(load_yaml("family.yaml", text))).items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_text(content, "utf-8")
    return import_family(folder / name)


@pytest.mark.parametrize("time", ["none", "adaln"])
def test_loss_of_one_block_equals_masked_diffusion(time, tmp_path):
    attention = "attention: bidirectional"
    masked = family("mdlm", tmp_path, (attention, f"{attention}\n  time: {time}"))
    attention = "attention: block_causal"
    blocks = family("bd3lm", tmp_path, (attention, f"{attention}\n  time: {time}"))
    one, other = (f.model(TOKENS.vocab_size, **SIZE) for f in (masked, blocks))
    for parameter in one.parameters():
        torch.nn.init.normal_(
            parameter, std=0.3, generator=torch.Generator().manual_seed(0)
        )
    other.load_state_dict(one.state_dict())
    hidden = torch.tensor([[1, 0, 1, 1, 0], [0, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    t = torch.tensor([0.3, 0.6, 1.0])
    shared = {
        "input_ids": CLEAN.masked_fill(hidden, TOKENS.mask),
        "attention_mask": None,
        "maskable": torch.ones_like(hidden),
        "masked_positions": hidden.flatten().nonzero().squeeze(1),
    }
    time_weight = torch.ones(3)
    rows = shared | {"target_ids": CLEAN, "t": t, "time_weight": time_weight}
    expected = masked.loss(TOKENS)(one, rows)
    t = t[:, None].expand(-1, CLEAN.shape[1])
    block = shared | {"clean_ids": CLEAN, "t": t, "time_weight": 1.0, "block_size": 5}
    found = blocks.loss(TOKENS)(other, block)
    torch.testing.assert_close(found, expected)
    assert expected["loss"] > 1
