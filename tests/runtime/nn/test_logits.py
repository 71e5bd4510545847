"""Cross-entropy in the memory of its logits equals PyTorch's."""

import math

import pytest
import torch
import torch.nn.functional as F

from xlmgen.runtime.nn import cross_entropy, log_partition_and_scores
from xlmgen.runtime.nn import logits as module
from xlmgen.runtime.sampling import exclude

N, V = 23, 17
NEVER = (3, 5)


@pytest.fixture(params=[1, 3 * V, 2**20], ids="{} logits at a time".format)
def pieces(request, monkeypatch):
    monkeypatch.setattr(module, "CACHED", request.param)


def inputs(dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(N, 8, generator=generator).to(dtype)
    weight = torch.randn(V, 8, generator=generator).to(dtype)
    allowed = torch.tensor([i for i in range(V) if i not in NEVER])
    targets = allowed[torch.randint(len(allowed), (N,), generator=generator)]
    upstream = torch.randn(N, generator=generator)
    return x.requires_grad_(), weight.requires_grad_(), targets, upstream


def gradients(loss, *of):
    return torch.autograd.grad(loss, of)


@pytest.mark.parametrize("never", [(), NEVER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_and_gradients(pieces, never, dtype):
    x, weight, targets, upstream = inputs(dtype)
    nll = cross_entropy(F.linear(x, weight), targets, never=never)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    assert nll.dtype == wide
    plain = exclude(F.linear(x, weight).to(wide), never)
    expected = F.cross_entropy(plain, targets, reduction="none")
    torch.testing.assert_close(nll, expected)
    ours = gradients((nll * upstream).sum(), x, weight)
    theirs = gradients((expected * upstream).sum(), x, weight)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_scores_of_some_places_twice_or_never(pieces):
    x, weight, _, _ = inputs()
    rows, ids = torch.tensor([4, 4, 0, 4, 9]), torch.tensor([2, 7, 2, 2, NEVER[0]])
    parts = log_partition_and_scores(F.linear(x, weight), rows, ids, NEVER)
    plain = exclude(F.linear(x, weight), NEVER)
    expected = plain.logsumexp(-1), plain[rows, ids]
    for one, other in zip(parts, expected, strict=True):
        torch.testing.assert_close(one, other)
    assert parts[1][-1] == -math.inf
    ours = gradients(parts[0].square().sum() + parts[1][:-1].sum(), x)
    theirs = gradients(expected[0].square().sum() + expected[1][:-1].sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_a_target_without_probability_costs_infinitely_much():
    x, weight, targets, _ = inputs()
    targets[2] = NEVER[1]
    nll = cross_entropy(F.linear(x, weight), targets, never=NEVER)
    assert nll[2] == math.inf
    assert nll.isfinite().sum() == N - 1


def test_no_rows():
    logits = torch.zeros(0, V, requires_grad=True) * 1
    nll = cross_entropy(logits, torch.zeros(0, dtype=torch.int64))
    nll.sum().backward()
    assert nll.shape == (0,)


def test_the_gradient_takes_the_place_of_the_logits():
    x, weight, targets, _ = inputs()
    logits = F.linear(x, weight)
    before = logits.detach().clone()
    received = []
    logits.register_hook(received.append)
    cross_entropy(logits, targets).sum().backward()
    assert received[0].data_ptr() == logits.data_ptr()
    assert not torch.equal(logits, before)


def test_sixteen_bits_keep_what_a_sure_prediction_lacks():
    logits = torch.tensor([[8.0, 1.0, 0.0]], dtype=torch.bfloat16, requires_grad=True)
    nll = cross_entropy(logits * 1, torch.tensor([0]))
    (gradient,) = gradients(nll.sum(), logits)
    expected = logits.float().softmax(-1) - torch.tensor([1.0, 0.0, 0.0])
    assert gradient[0, 0] != 0
    torch.testing.assert_close(gradient, expected.bfloat16())


@pytest.mark.parametrize("view", [False, True])
def test_what_is_somebody_elses_is_not_written_to(view):
    table = torch.randn(N, V, requires_grad=True)
    before = table.detach().clone()
    targets = torch.zeros(N, dtype=torch.int64)
    cross_entropy(table.view(N, V) if view else table, targets).sum().backward()
    assert torch.equal(table, before)
    expected = table.detach().softmax(-1)
    expected[:, 0] -= 1
    torch.testing.assert_close(table.grad, expected)


def test_a_second_backward_is_refused():
    x, weight, targets, _ = inputs()
    loss = cross_entropy(F.linear(x, weight), targets).sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="overwritten"):
        loss.backward()
