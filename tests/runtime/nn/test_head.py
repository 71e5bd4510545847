"""Logits that are made a piece at a time give the loss and gradients of all at once."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from xlmgen.registry import load_family
from xlmgen.runtime.nn import Head, cross_entropy
from xlmgen.runtime.nn import piecewise as module
from xlmgen.runtime.nn.head import Logits
from xlmgen.runtime.nn.logits import log_partition, log_partition_and_scores
from xlmgen.runtime.sampling import exclude
from xlmgen.runtime.special_tokens import Block, SpecialTokens

N, D, V = 23, 8, 17
NEVER = (3, 5)


class Products(TorchDispatchMode):
    """How many matrix products are made within it."""

    number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += "mm" in str(func)
        return func(*args, **(kwargs or {}))


@pytest.fixture(params=[(1, 1), (2 * V, 7 * V), (2**20, 2**20)])
def pieces(request, monkeypatch):
    monkeypatch.setattr(module, "CACHED", request.param[0])
    monkeypatch.setattr(module, "MULTIPLIED", request.param[1])


def inputs(dtype=torch.float32):
    torch.manual_seed(0)
    head = Head(D, V, bias=False, dtype=dtype)
    x = torch.randn(N, D, dtype=dtype, requires_grad=True)
    allowed = torch.tensor([i for i in range(V) if i not in NEVER])
    targets = allowed[torch.randint(len(allowed), (N,))]
    weight, upstream = torch.rand(N) + 0.5, torch.randn(N)
    weight[4] = 0
    return head, x, targets, weight, upstream


def plain(head, x, targets, weight=None, never=()):
    logits = F.linear(x, head.weight)
    wide = logits.double() if logits.dtype == torch.float64 else logits.float()
    nll = F.cross_entropy(exclude(wide, never), targets, reduction="none")
    return nll if weight is None else weight * nll


@pytest.mark.parametrize("alike", [True, False], ids=["one factor", "many"])
@pytest.mark.parametrize("weighed", [True, False])
@pytest.mark.parametrize("never", [(), NEVER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_values_and_gradients(pieces, dtype, never, weighed, alike):
    head, x, targets, weight, upstream = inputs(dtype)
    weight = weight if weighed else None
    upstream = upstream.new_full((N,), -0.3) if alike else upstream
    logits = head(x)
    loss = cross_entropy(logits, targets, weight, never)
    assert not logits.is_made
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    expected = plain(head, x, targets, weight, never)
    torch.testing.assert_close(loss, expected)
    of = (x, head.weight)
    ours = torch.autograd.grad((loss * upstream).sum(), of)
    theirs = torch.autograd.grad((expected * upstream).sum(), of)
    coarse = {"rtol": 0.02, "atol": 0.05} if dtype == torch.bfloat16 else {}
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, **coarse)


@pytest.mark.parametrize("alike", [True, False])
def test_products_are_made_once_where_the_weights_were_given(alike):
    head, x, targets, weight, upstream = inputs()
    with Products() as products:
        loss = cross_entropy(head(x), targets, weight)
        (loss.sum() if alike else (loss * upstream).sum()).backward()
    assert products.number == (3 if alike else 6)


def test_a_second_backward_gives_the_same_again():
    head, x, targets, weight, _ = inputs()
    loss = cross_entropy(head(x), targets, weight).sum()
    loss.backward(retain_graph=True)
    once = x.grad.clone(), head.weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(x.grad, 2 * once[0])
    torch.testing.assert_close(head.weight.grad, 2 * once[1])


def test_losses_far_below_the_smallest_number_keep_their_size():
    head = Head(1, 3, bias=False)
    head.weight.data = torch.tensor([[0.0], [-200.0], [-1.0]])
    x = torch.ones(1, 1, requires_grad=True)
    loss = cross_entropy(head(x), torch.tensor([1]))
    assert loss.item() == pytest.approx(200 + math.log(1 + math.exp(-1)), rel=1e-6)


def test_a_target_without_probability_costs_infinitely_much():
    head, x, targets, *_ = inputs()
    targets[2] = NEVER[1]
    loss = cross_entropy(head(x), targets, never=NEVER)
    assert loss[2] == math.inf
    assert loss.isfinite().sum() == N - 1


def test_no_rows():
    head, x, targets, weight, _ = inputs()
    cross_entropy(head(x[:0]), targets[:0], weight[:0]).sum().backward()
    assert not x.grad.any()
    assert not head.weight.grad.any()


def test_under_autocast_products_are_narrow_and_gradients_wide():
    head, x, targets, weight, _ = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        logits = head(x)
        assert logits.dtype == torch.bfloat16
        loss = cross_entropy(logits, targets, weight)
        expected = weight * F.cross_entropy(
            F.linear(x, head.weight).float(), targets, reduction="none"
        )
    torch.testing.assert_close(loss, expected)
    ours = torch.autograd.grad(loss.sum(), (x, head.weight))
    theirs = torch.autograd.grad(expected.sum(), (x, head.weight))
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_float64_logits_stay_float64_under_autocast(dtype):
    """As those of `nn.Linear` do, whether or not they are materialised."""
    head, x, targets, weight, _ = inputs(torch.float64)
    with torch.autocast("cpu", dtype):
        assert F.linear(x, head.weight).dtype == torch.float64
        logits = head(x)
        assert logits.dtype == torch.float64
        loss = cross_entropy(logits, targets, weight)
        assert logits.made().dtype == torch.float64
    assert loss.dtype == torch.float64
    torch.testing.assert_close(loss, plain(head, x, targets, weight))


def test_a_head_shares_its_matrix():
    head, x, targets, *_ = inputs()
    table = torch.nn.Embedding(V, D)
    head.weight = table.weight
    (cross_entropy(head(x), targets).sum() + table(targets).sum()).backward()
    (expected,) = torch.autograd.grad(
        plain(head, x, targets).sum() + table(targets).sum(), table.weight
    )
    torch.testing.assert_close(table.weight.grad, expected)


def test_what_looks_at_logits_makes_them():
    head, x, targets, *_ = inputs()
    looks = {
        "arithmetic": lambda y: y / 2 + 1,
        "a method": lambda y: y.float().log_softmax(-1),
        "a place": lambda y: y[2:5, 1],
        "a list": lambda y: torch.cat([y, y]),
        "a keyword": lambda y: torch.sum(input=y),
        "a loss": lambda y: F.cross_entropy(y, targets),
    }
    for name, look in looks.items():
        logits, exact = head(x), F.linear(x, head.weight)
        assert isinstance(logits, Logits)
        assert (logits.shape, logits.dtype, logits.requires_grad) == (
            (N, V),
            torch.float32,
            True,
        )
        assert len(logits) == N
        assert not logits.is_made
        ours, theirs = look(logits), look(exact)
        assert logits.is_made
        torch.testing.assert_close(ours, theirs, msg=name)
        ours = torch.autograd.grad(ours.sum(), (x, head.weight))
        theirs = torch.autograd.grad(theirs.sum(), (x, head.weight))
        torch.testing.assert_close(ours, theirs, msg=name)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_look_without_gradients_takes_none_away(mode):
    head, x, targets, *_ = inputs()
    logits = head(x)
    with mode():
        best = logits.argmax(-1)
    loss = cross_entropy(logits, targets)
    expected = plain(head, x, targets)
    assert torch.equal(best, F.linear(x, head.weight).argmax(-1))
    ours = torch.autograd.grad(loss.sum(), (x, head.weight))
    theirs = torch.autograd.grad(expected.sum(), (x, head.weight))
    torch.testing.assert_close(ours, theirs)


def test_a_gradient_that_would_be_lost_is_an_error():
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, y):
            return 2 * y

        @staticmethod
        def backward(ctx, gradient):
            return 2 * gradient

    head, x, *_ = inputs()
    with pytest.raises(RuntimeError, match=r"logits\.made\(\)"):
        Double.apply(head(x)).sum().backward()
    with pytest.raises(RuntimeError, match=r"logits\.made\(\)"):
        torch.vmap(torch.sum)(head(x))
    Double.apply(head(x).made()).sum().backward()
    assert x.grad.any()


def test_what_is_written_into_logits_counts():
    head, x, targets, weight, _ = inputs()
    logits = head(x)
    logits[:, list(NEVER)] = -torch.inf
    loss = cross_entropy(logits, targets, weight)
    expected = plain(head, x, targets, weight, NEVER)
    torch.testing.assert_close(loss, expected)
    ours = torch.autograd.grad(loss.sum(), (x, head.weight))
    theirs = torch.autograd.grad(expected.sum(), (x, head.weight))
    torch.testing.assert_close(ours, theirs)


def test_elsewhere_a_head_gives_plain_logits():
    head, x, *_ = inputs()
    assert type(head(x[None])) is torch.Tensor
    assert type(Head(D, V)(x)) is torch.Tensor  # it has a bias
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            assert type(head(x)) is torch.Tensor


@pytest.fixture
def large(monkeypatch):
    """Any logits are so many that they wait where nothing is learnt."""
    monkeypatch.setattr("xlmgen.runtime.nn.head.LARGE", 1)


@pytest.mark.parametrize("weighed", [True, False])
@pytest.mark.parametrize("never", [(), NEVER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_where_nothing_is_learnt_many_logits_wait_too(
    pieces, large, mode, dtype, never, weighed
):
    head, x, targets, weight, _ = inputs(dtype)
    weight = weight if weighed else None
    exact = F.linear(x, head.weight).detach()
    with mode():
        logits = head(x)
        assert (type(logits), logits.requires_grad) == (Logits, False)
        loss = cross_entropy(logits, targets, weight, never)
    assert not logits.is_made
    expected = plain(head, x, targets, weight, never).detach()
    coarse = {"rtol": 0.01, "atol": 0.02} if dtype == torch.bfloat16 else {}
    torch.testing.assert_close(loss, expected, check_dtype=False, **coarse)
    torch.testing.assert_close(logits.made(), exact)
    assert (head(x).requires_grad, logits.made().requires_grad) == (True, False)


@pytest.mark.parametrize("never", [(), NEVER])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_where_nothing_is_learnt_some_scores_need_no_logits(
    pieces, large, dtype, never
):
    head, x, *_ = inputs(dtype)
    rows, ids = torch.tensor([4, 0, 4, 9]), torch.tensor([NEVER[0], 1, 16, 2])
    exact = F.linear(x, head.weight).detach()
    with torch.inference_mode():
        logits = head(x)
        ours = log_partition_and_scores(logits, rows, ids, never)
        theirs = log_partition_and_scores(exact, rows, ids, never)
    assert logits.is_made == (dtype == torch.bfloat16)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("learnt", [True, False])
def test_chosen_rows_wait_as_well(large, learnt):
    head, x, *_ = inputs()
    exact = F.linear(x, head.weight)
    row, first, even = (
        torch.tensor([2, 0]),
        torch.tensor([0, 0]),
        torch.arange(N) % 2 < 1,
    )
    looks = {
        "rows": lambda y: y[row],
        "marked rows": lambda y: y[even],
        "a slice": lambda y: y[3:9],
        "in groups": lambda y: y.unflatten(0, (N, 1)),
        "rows of groups": lambda y: y.unflatten(0, (N, 1))[even[:, None]],
        "one of each group": lambda y: y.unflatten(0, (N, 1))[row, first],
    }
    for name, look in looks.items():
        with torch.set_grad_enabled(learnt):
            logits = head(x)
            some = look(logits)
        assert isinstance(some, Logits), name
        assert not some.is_made, name
        assert not logits.is_made, name
        assert some.requires_grad == learnt
        torch.testing.assert_close(some.made(), look(exact), msg=name)
        if learnt:
            ours = torch.autograd.grad(some.sum(), (x, head.weight))
            theirs = torch.autograd.grad(
                look(exact).sum(), (x, head.weight), retain_graph=True
            )
            torch.testing.assert_close(ours, theirs, msg=name)


def test_a_choice_of_columns_makes_logits(large):
    head, x, *_ = inputs()
    exact = F.linear(x, head.weight)
    few, column = torch.arange(3), torch.tensor([5, 1, 2])
    looks = [
        lambda y: y[few, column],
        lambda y: y[exact > 0],
        lambda y: y[..., column],
        lambda y: y.unflatten(1, (V, 1)),
    ]
    for look in looks:
        logits = head(x)
        torch.testing.assert_close(look(logits), look(exact))
        assert logits.is_made


@pytest.mark.parametrize("columns", [1, 5, 2**10])
@pytest.mark.parametrize("never", [(), NEVER, tuple(range(V))])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_sums_are_taken_piece_by_piece(
    pieces, large, monkeypatch, dtype, never, columns
):
    monkeypatch.setattr(module, "COLUMNS", columns)
    head, x, *_ = inputs(dtype)
    with torch.inference_mode():
        logits = head(20 * x[:22]).unflatten(0, (11, 2))
        ours = log_partition(logits, never)
    assert not logits.is_made
    wide = dtype if dtype == torch.float64 else torch.float32
    assert (ours.shape, ours.dtype) == ((11, 2), wide)
    exact = F.linear(20 * x[:22], head.weight).detach().to(wide)
    coarse = {"rtol": 0.01, "atol": 0.1} if dtype == torch.bfloat16 else {}
    expected = exclude(exact, never).logsumexp(-1).view(11, 2)
    torch.testing.assert_close(ours, expected, **coarse)


@pytest.mark.parametrize("name", ["arlm", "mlm", "mdlm", "flexmdm", "bd3lm", "dream"])
def test_a_step_of_a_family_makes_no_tensor_of_all_its_logits(
    name, monkeypatch, large, largest
):
    vocab, length, rows = 6000, 64, 8
    monkeypatch.setattr(module, "MULTIPLIED", 16 * vocab)
    tokens, family = SpecialTokens(vocab_size=vocab), load_family(name)
    model = family.model(vocab, d_model=16, layers=1, heads=2)
    collate = family.collators["lm"](tokens, Block(length))
    examples = [{"tokens": list(range(20, 20 + length - 2))} for _ in range(rows)]
    batch = collate(examples, torch.Generator().manual_seed(0))
    chosen = batch["scored_at" if name == "arlm" else "masked_at"]
    for learnt in (True, False):
        largest.numbers = 0
        with largest, torch.set_grad_enabled(learnt):
            loss = family.loss(tokens)(model, batch)["loss"]
            if learnt:
                loss.backward()
        assert 16 * vocab <= largest.numbers < len(chosen) * vocab / 3
