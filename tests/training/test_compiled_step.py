"""A training step compiles as one graph, and once for batches of all sizes."""

import pytest
import torch
from torch._dynamo.utils import counters

from xlmgen import resources
from xlmgen.registry import load_family
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

FAMILIES = sorted(
    path.parent.name for path in resources.root().glob("families/*/family.yaml")
)
TOKENS = SpecialTokens(vocab_size=20)
ROWS, LONGEST, BATCHES = 4, 24, 8
GRAPHS = 3
"""For the sizes of the first batch, then for any, with pads and without."""


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def batches(family, number):
    """Batches of rows of different lengths: no two have as many masked tokens."""
    generator = torch.Generator().manual_seed(0)
    collator = family.collators["lm"](TOKENS, MaxLength(LONGEST + 2))
    for _ in range(number):
        lengths = torch.randint(4, LONGEST, (ROWS,), generator=generator).tolist()
        rows = [torch.randint(5, 20, (n,), generator=generator) for n in lengths]
        yield collator([{"tokens": row} for row in rows], generator)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_step_has_no_graph_break_and_few_graphs(name):
    family = load_family(name)
    torch.manual_seed(0)
    model = family.model(20, d_model=16, layers=1, num_heads=2, dropout=0.0)
    loss = family.loss(TOKENS)
    parameters = list(model.parameters())

    def measure(batch):
        return loss(model, batch)

    def gradients(output):
        return torch.autograd.grad(output["loss"], parameters, allow_unused=True)

    # With `fullgraph` a break is an error.
    compiled = torch.compile(measure, fullgraph=True, backend="eager")
    for batch in batches(family, BATCHES):
        output, plain = compiled(batch), measure(batch)
        torch.testing.assert_close(output, plain)
        torch.testing.assert_close(gradients(output), gradients(plain))
    assert 1 <= counters["stats"]["unique_graphs"] <= GRAPHS
