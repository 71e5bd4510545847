"""The chunked sums over mixtures with the uniform distribution equal the plain ones."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from xlmgen.runtime.nn import chunks as logits
from xlmgen.runtime.nn import linear_mixture, mixture

N, D, V = 23, 8, 17
SUPPRESSED = (3, 5)
SIZE = V - len(SUPPRESSED)
LEVELS = [0.0, 1e-9, 1e-4, 0.3, 0.5, 0.8, 1 - 1e-4, 1 - 1e-9]


@pytest.fixture(params=[(1, 1), (2 * V, 7 * V), (2**20, 2**20)], ids=str)
def chunks(request, monkeypatch):
    """Logits of one pass and of one chunk: one row, several, all."""
    monkeypatch.setattr(logits, "CACHED", request.param[0])
    monkeypatch.setattr(logits, "CHUNK_CPU", request.param[1])


def inputs(dtype=torch.float64, *, bias=True):
    torch.manual_seed(0)
    head = nn.Linear(D, V, bias=bias, dtype=dtype)
    hidden = (3 * torch.randn(N, D, dtype=dtype)).requires_grad_()
    allowed = torch.tensor([i for i in range(V) if i not in SUPPRESSED])
    tokens = allowed[torch.randint(len(allowed), (2, N))]
    alpha = torch.tensor(LEVELS, dtype=torch.float64).repeat(3)[:N]
    return head, hidden, tokens, alpha


def reference(hidden, head, tokens, alpha):
    """All logits in memory, in the formula of the definition."""
    scores = hidden.double() @ head.weight.double().T
    if head.bias is not None:
        scores = scores + head.bias.double()
    mask = torch.zeros(V, dtype=torch.bool)
    mask[list(SUPPRESSED)] = True
    log_p = scores.masked_fill(mask, -torch.inf).log_softmax(-1)
    mixed = (SIZE * alpha[:, None] * log_p.exp() + 1 - alpha[:, None]).log()
    total = mixed.masked_fill(mask, 0).sum(-1)
    return torch.stack([log_p[torch.arange(N), each] for each in tokens]), total


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_logs_and_sums_equal_those_of_all_logits(chunks, dtype, bias):
    head, hidden, tokens, alpha = inputs(dtype, bias=bias)
    found = linear_mixture(
        hidden, head, tokens, alpha, 1 - alpha, suppress_tokens=SUPPRESSED
    )
    expected = reference(hidden, head, tokens, alpha)
    close = {torch.float64: (1e-10, 1e-13), torch.float32: (1e-4, 1e-4)}[dtype]
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == dtype
        rtol, atol = close
        torch.testing.assert_close(one.double(), other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_equal_those_of_all_logits(chunks, dtype):
    head, hidden, tokens, alpha = inputs(dtype)
    weights = torch.randn(3, N, dtype=torch.float64)

    def gradients(logs, total):
        outcome = (logs.double() * weights[:2]).sum() + (total * weights[2]).sum()
        return torch.autograd.grad(outcome, [hidden, *head.parameters()])

    found = gradients(
        *linear_mixture(
            hidden, head, tokens, alpha, 1 - alpha, suppress_tokens=SUPPRESSED
        )
    )
    expected = gradients(*reference(hidden, head, tokens, alpha))
    close = {torch.float64: (1e-8, 1e-10), torch.float32: (1e-3, 2e-3)}[dtype]
    for one, other in zip(found, expected, strict=True):
        rtol, atol = close
        torch.testing.assert_close(one, other, rtol=rtol, atol=atol)


@pytest.mark.parametrize("level", [1e-3, 1e-6])
def test_gradient_near_uniform_has_a_small_relative_error(level):
    """There the logarithms are α (K p − 1), of which float32 keeps all digits."""
    head, hidden, tokens, _ = inputs(torch.float32)
    alpha = torch.full((N,), level, dtype=torch.float64)

    def gradient(*results):
        return torch.autograd.grad(results[1].sum(), hidden)[0]

    found = gradient(
        *linear_mixture(
            hidden, head, tokens, alpha, 1 - alpha, suppress_tokens=SUPPRESSED
        )
    )
    expected = gradient(*reference(hidden, head, tokens, alpha))
    error = (found - expected).norm() / expected.norm()
    assert error < 1e-5


def test_products_are_those_of_one_pass_and_its_gradient():
    head, hidden, tokens, alpha = inputs()
    with FlopCounterMode(display=False) as counter:
        logs, total = linear_mixture(hidden, head, tokens, alpha, 1 - alpha)
        (logs.sum() + total.sum()).backward()
    counts = counter.get_flop_counts()["Global"]
    found = sum(number for op, number in counts.items() if "mixture" in str(op))
    assert found == 4 * 2 * N * D * V


def test_operators_pass_their_checks():
    head, hidden, _, alpha = inputs()
    given = (hidden, head.weight, head.bias, alpha, 1 - alpha, [3])
    checks = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(mixture._mixture, given, test_utils=checks)


def test_no_rows_give_no_values():
    head, hidden, tokens, alpha = inputs()
    logs, total = linear_mixture(
        hidden[:0], head, tokens[:, :0], alpha[:0], 1 - alpha[:0]
    )
    assert logs.shape == (2, 0)
    assert total.shape == (0,)
    (logs.sum() + total.sum()).backward()
