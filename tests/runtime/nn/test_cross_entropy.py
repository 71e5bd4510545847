"""The chunked cross-entropy of a linear head equals PyTorch's of all logits."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch._dynamo.utils import counters
from torch.utils.flop_counter import FlopCounterMode

from xlmgen.registry import load_family
from xlmgen.runtime.nn import chunks as logits
from xlmgen.runtime.nn import cross_entropy as module
from xlmgen.runtime.nn import (
    linear_cross_entropy,
    linear_logsumexp,
    linear_scores,
    linear_total,
)
from xlmgen.runtime.special_tokens import MaxLength, SpecialTokens

N, D, V = 23, 8, 17
SUPPRESSED = (3, 5)
FAMILIES = [
    "arlm",
    "bd3lm",
    "dream",
    "flexmdm",
    "llada",
    "mdlm",
    "mlm",
    "udlm",
    "sedd_uniform",
]
DTYPES = [torch.float64, torch.float32, torch.bfloat16]
COARSE = {"rtol": 0.02, "atol": 0.06}
"""Of bfloat16: every logit is rounded to 8 bits."""


@pytest.fixture(params=[(1, 1), (2 * V, 7 * V), (2**20, 2**20)], ids=str)
def chunks(request, monkeypatch):
    """Logits of one pass and of one chunk: one row, several, all."""
    monkeypatch.setattr(logits, "CACHED", request.param[0])
    monkeypatch.setattr(logits, "CHUNK_CPU", request.param[1])


def inputs(dtype=torch.float64, *, bias=True):
    torch.manual_seed(0)
    head = nn.Linear(D, V, bias=bias, dtype=dtype)
    hidden = torch.randn(N, D, dtype=dtype, requires_grad=True)
    allowed = torch.tensor([i for i in range(V) if i not in SUPPRESSED])
    targets = allowed[torch.randint(len(allowed), (N,))]
    row_weight, upstream = torch.rand(N) + 0.5, torch.randn(N)
    row_weight[4] = 0
    return head, hidden, targets, row_weight, upstream


def all_logits(hidden, head, suppressed=()):
    """In float32 at least, whatever the head computes in; all in memory."""
    logits = hidden @ head.weight.T
    if head.bias is not None:
        logits = logits + head.bias
    logits = logits if logits.dtype == torch.float64 else logits.float()
    mask = torch.zeros(V, dtype=torch.bool)
    mask[list(suppressed)] = True
    return logits.masked_fill(mask, -torch.inf)


def reference(hidden, head, targets, row_weight=None, suppressed=()):
    logits = all_logits(hidden, head, suppressed)
    loss = F.cross_entropy(logits, targets, reduction="none")
    return loss if row_weight is None else row_weight * loss


def check_gradients(ours, theirs, of, **close):
    ours = torch.autograd.grad(ours, of, retain_graph=True)
    theirs = torch.autograd.grad(theirs, of, retain_graph=True)
    for one, other in zip(ours, theirs, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, **close)


@pytest.mark.parametrize("alike", [True, False], ids=["one factor", "many"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("suppressed", [(), SUPPRESSED], ids=["all", "suppressed"])
@pytest.mark.parametrize("weighted", [True, False], ids=["weighted", "unweighted"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_loss_and_gradients_equal_those_of_all_logits(
    chunks, dtype, weighted, suppressed, bias, alike
):
    head, hidden, targets, row_weight, upstream = inputs(dtype, bias=bias)
    row_weight = row_weight if weighted else None
    loss = linear_cross_entropy(
        hidden, head, targets, row_weight=row_weight, suppress_tokens=suppressed
    )
    expected = reference(hidden, head, targets, row_weight, suppressed)
    close = COARSE if dtype == torch.bfloat16 else {}
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    torch.testing.assert_close(loss, expected, check_dtype=False, **close)
    ours, theirs = (
        (-0.3 * part.sum() if alike else (part * upstream).sum())
        for part in (loss, expected)
    )
    check_gradients(ours, theirs, (hidden, *head.parameters()), **close)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("dtype", DTYPES)
def test_loss_without_gradients_is_the_same(chunks, dtype, mode):
    head, hidden, targets, row_weight, _ = inputs(dtype)
    options = {"row_weight": row_weight, "suppress_tokens": SUPPRESSED}
    expected = linear_cross_entropy(hidden, head, targets, **options)
    with mode():
        loss = linear_cross_entropy(hidden, head, targets, **options)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, expected.detach())


def test_hidden_states_and_targets_may_have_any_shape():
    head, hidden, targets, row_weight, _ = inputs()
    shape = (11, 2)
    loss = linear_cross_entropy(
        hidden[:22].view(*shape, D),
        head,
        targets[:22].view(shape),
        row_weight=row_weight[:22].view(shape),
    )
    expected = reference(hidden, head, targets, row_weight)[:22].view(shape)
    torch.testing.assert_close(loss, expected)


def test_selected_rows_give_a_gradient_to_these_rows_only():
    head, hidden, targets, *_ = inputs()
    rows = torch.tensor([2, 7, 7, 11])
    loss = linear_cross_entropy(hidden[rows], head, targets[rows])
    expected = reference(hidden, head, targets)[rows]
    check_gradients(loss.sum(), expected.sum(), (hidden, head.weight))


def test_no_row_gives_a_loss_and_gradients_of_zero():
    head, hidden, targets, row_weight, _ = inputs()
    loss = linear_cross_entropy(
        hidden[:0], head, targets[:0], row_weight=row_weight[:0]
    )
    loss.sum().backward()
    assert loss.shape == (0,)
    assert not hidden.grad.any()
    assert not head.weight.grad.any()
    assert linear_logsumexp(hidden[:0], head).shape == (0,)


def test_two_losses_and_two_backward_passes_add_their_gradients():
    head, hidden, targets, row_weight, _ = inputs()
    loss = linear_cross_entropy(hidden, head, targets, row_weight=row_weight).sum()
    again = linear_cross_entropy(hidden, head, targets).sum()
    both = reference(hidden, head, targets, row_weight) + reference(
        hidden, head, targets
    )
    check_gradients(loss + again, both.sum(), (hidden, *head.parameters()))
    loss.backward(retain_graph=True)
    once = hidden.grad.clone(), head.weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(hidden.grad, 2 * once[0])
    torch.testing.assert_close(head.weight.grad, 2 * once[1])


def test_gradients_are_computed_in_the_forward_pass_where_rows_share_a_factor():
    head, hidden, targets, row_weight, upstream = inputs(torch.float32)
    for alike in (True, False):
        with FlopCounterMode(display=False) as counter:
            loss = linear_cross_entropy(hidden, head, targets, row_weight=row_weight)
            (loss.sum() / 7 if alike else (loss * upstream).sum()).backward()
        products = counter.get_total_flops() / (2 * N * D * V)
        assert products == (3 if alike else 6)


def test_embedding_that_is_the_head_gets_both_gradients():
    head, hidden, targets, *_ = inputs(bias=False)
    table = nn.Embedding(V, D, dtype=torch.float64)
    head.weight = table.weight
    loss = linear_cross_entropy(hidden, head, targets).sum() + table(targets).sum()
    expected = reference(hidden, head, targets).sum() + table(targets).sum()
    check_gradients(loss, expected, (table.weight,))


def test_frozen_head_and_frozen_hidden_states():
    head, hidden, targets, *_ = inputs(bias=False)
    expected = reference(hidden, head, targets).sum()
    of_hidden, of_weight = torch.autograd.grad(expected, (hidden, head.weight))
    head.requires_grad_(False)
    linear_cross_entropy(hidden, head, targets).sum().backward()
    torch.testing.assert_close(hidden.grad, of_hidden)
    head.requires_grad_(True)
    linear_cross_entropy(hidden.detach(), head, targets).sum().backward()
    torch.testing.assert_close(head.weight.grad, of_weight)


def test_loss_above_the_range_of_probabilities_keeps_its_size():
    head = nn.Linear(1, 3, bias=False)
    head.weight.data = torch.tensor([[0.0], [-200.0], [-1.0]])
    hidden = torch.ones(1, 1, requires_grad=True)
    loss = linear_cross_entropy(hidden, head, torch.tensor([1]))
    assert loss.item() == pytest.approx(200 + math.log(1 + math.exp(-1)), rel=1e-6)


def test_small_loss_of_a_large_logit_keeps_its_digits():
    head = nn.Linear(1, 2, bias=False)
    head.weight.data = torch.tensor([[60.0], [50.0]])
    hidden = torch.ones(1, 1, requires_grad=True)
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            loss = linear_cross_entropy(hidden, head, torch.tensor([0]))
        assert loss.item() == pytest.approx(math.log1p(math.exp(-10)), rel=2e-3)


def test_bfloat16_gradient_keeps_what_a_sure_prediction_lacks():
    head = nn.Linear(1, 3, bias=False, dtype=torch.bfloat16)
    head.weight.data = torch.tensor([[8.0], [1.0], [0.0]], dtype=torch.bfloat16)
    hidden = torch.ones(1, 1, dtype=torch.bfloat16, requires_grad=True)
    linear_cross_entropy(hidden, head, torch.tensor([0])).sum().backward()
    share = torch.tensor([8.0, 1.0, 0.0]).softmax(0)
    expected = (share - torch.tensor([1.0, 0.0, 0.0])).bfloat16()
    assert head.weight.grad[0, 0] != 0
    torch.testing.assert_close(head.weight.grad[:, 0], expected)


def test_suppressed_target_costs_infinity():
    head, hidden, targets, *_ = inputs()
    targets[2] = SUPPRESSED[1]
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            loss = linear_cross_entropy(
                hidden, head, targets, suppress_tokens=SUPPRESSED
            )
        assert loss[2] == math.inf
        assert loss.isfinite().sum() == N - 1


def test_autocast_narrows_products_and_keeps_wide_gradients():
    head, hidden, targets, row_weight, _ = inputs(torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(hidden, head, targets, row_weight=row_weight)
        logits = F.linear(hidden, head.weight) + head.bias.bfloat16()
        assert logits.dtype == torch.bfloat16
        expected = row_weight * F.cross_entropy(
            logits.float(), targets, reduction="none"
        )
    assert loss.dtype == torch.float32
    exact = reference(hidden, head, targets, row_weight)
    assert not torch.equal(loss, exact)  # it is narrow
    torch.testing.assert_close(loss, expected, **COARSE)
    check_gradients(loss.sum(), expected.sum(), (hidden, *head.parameters()), **COARSE)


def test_float64_stays_float64_under_autocast():
    head, hidden, targets, row_weight, _ = inputs()
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(hidden, head, targets, row_weight=row_weight)
    torch.testing.assert_close(loss, reference(hidden, head, targets, row_weight))


def test_float16_gradients_do_not_underflow():
    """A gradient of 10⁻⁸ is nothing in float16; a scaled loss would show it."""
    head = nn.Linear(1, 2, bias=False, dtype=torch.float16)
    head.weight.data = torch.tensor([[18.0], [0.0]], dtype=torch.float16)
    hidden = torch.ones(1, 1, dtype=torch.float16, requires_grad=True)
    loss = linear_cross_entropy(hidden, head, torch.tensor([0])).sum()
    (2.0**16 * loss).backward()
    expected = 2.0**16 * math.exp(-18)
    assert head.weight.grad[1].item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("alike", [True, False], ids=["one factor", "many"])
def test_compiled_loss_is_one_graph_for_any_number_of_rows(alike, monkeypatch):
    head, hidden, targets, row_weight, upstream = inputs(torch.float32)

    def measure(hidden, targets, row_weight, upstream):
        loss = linear_cross_entropy(
            hidden, head, targets, row_weight=row_weight, suppress_tokens=SUPPRESSED
        )
        return loss.sum() if alike else (loss * upstream).sum()

    passes, differentiate = [], module._differentiate
    counted = lambda *given: passes.append(1) or differentiate(*given)  # noqa: E731
    monkeypatch.setattr(module, "_differentiate", counted)
    torch._dynamo.reset()
    counters.clear()
    compiled = torch.compile(measure, fullgraph=True, backend="aot_eager", dynamic=True)
    for rows in (N, 9, 14):
        x = hidden[:rows].detach().requires_grad_()
        some = [x, *(p[:rows].clone() for p in (targets, row_weight, upstream))]
        passes.clear()
        loss = compiled(*some)
        of = torch.autograd.grad(loss, (x, *head.parameters()))
        assert len(passes) == (1 if alike else 2)
        expected = measure(*some)
        torch.testing.assert_close(loss, expected)
        theirs = torch.autograd.grad(expected, (x, *head.parameters()))
        torch.testing.assert_close(of, theirs)
    assert counters["stats"]["unique_graphs"] == 1
    torch._dynamo.reset()


def test_operators_are_what_pytorch_expects_of_them():
    head, hidden, targets, row_weight, _ = inputs()
    given = (hidden, head.weight, head.bias)
    checks = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    arguments = (*given, targets, row_weight.double(), [3], True)
    torch.library.opcheck(module._cross_entropy, arguments, test_utils=checks)
    torch.library.opcheck(module._logsumexp, (*given, [3]), test_utils=checks)


def test_meta_tensors_have_the_shapes_of_the_result():
    head, hidden = nn.Linear(D, V, device="meta"), torch.empty(N, D, device="meta")
    hidden.requires_grad_()
    targets = torch.empty(N, dtype=torch.int64, device="meta")
    loss = linear_cross_entropy(hidden, head, targets, suppress_tokens=SUPPRESSED)
    assert (loss.shape, loss.dtype, loss.is_meta) == ((N,), torch.float32, True)
    loss.sum().backward()
    assert (hidden.grad.shape, head.weight.grad.shape) == ((N, D), (V, D))
    assert linear_logsumexp(hidden, head).shape == (N,)


@pytest.mark.parametrize(
    "suppressed", [(), SUPPRESSED, tuple(range(V))], ids=["none", "some", "all"]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_logsumexp_equals_that_of_all_logits(chunks, dtype, suppressed):
    head, hidden, *_ = inputs(dtype)
    hidden = (20 * hidden[:22]).detach()
    with torch.inference_mode():
        sums = linear_logsumexp(hidden.view(11, 2, D), head, suppress_tokens=suppressed)
    expected = all_logits(hidden, head, suppressed).logsumexp(-1).detach()
    close = {"rtol": 0.02, "atol": 0.3} if dtype == torch.bfloat16 else {}
    assert sums.shape == (11, 2)
    torch.testing.assert_close(sums.flatten(), expected, check_dtype=False, **close)


def test_logsumexp_has_the_gradient_of_all_logits(chunks):
    head, hidden, *_, upstream = inputs()
    sums = linear_logsumexp(hidden, head, suppress_tokens=SUPPRESSED)
    expected = all_logits(hidden, head, SUPPRESSED).logsumexp(-1)
    of = (hidden, *head.parameters())
    check_gradients((sums * upstream).sum(), (expected * upstream).sum(), of)


def test_scores_are_single_logits_and_add_the_gradients_of_repeated_ones():
    head, hidden, *_ = inputs()
    rows, tokens = torch.tensor([4, 4, 0, 4, 9]), torch.tensor([2, 7, 2, 2, 3])
    scores = linear_scores(hidden[rows], head, tokens, suppress_tokens=SUPPRESSED)
    expected = all_logits(hidden, head, SUPPRESSED)[rows, tokens]
    torch.testing.assert_close(scores, expected)
    assert scores[-1] == -math.inf
    of = (hidden, *head.parameters())
    check_gradients(scores[:-1].sum(), expected[:-1].sum(), of)


@pytest.mark.parametrize("bias", [True, False])
def test_total_is_sum_of_all_logits_but_suppressed_ones(bias):
    head, hidden, *_ = inputs(bias=bias)
    total = linear_total(hidden, head, suppress_tokens=SUPPRESSED)
    logits = all_logits(hidden, head)
    expected = logits.sum(1) - logits[:, list(SUPPRESSED)].sum(1)
    torch.testing.assert_close(total, expected)
    check_gradients(total.sum(), expected.sum(), (hidden, *head.parameters()))


def test_bfloat16_score_is_rounded_as_its_logit_is():
    """Else a score could lie above the sum of all, and its loss below 0."""
    torch.manual_seed(0)
    head = nn.Linear(64, 1, bias=False, dtype=torch.bfloat16)
    hidden = torch.randn(50, 64, dtype=torch.bfloat16)
    scores = linear_scores(hidden, head, torch.zeros(50, dtype=torch.int64))
    assert scores.equal(scores.bfloat16().float())
    close = {"rtol": 2**-7, "atol": 1e-2}
    torch.testing.assert_close(scores, head(hidden)[:, 0].float(), **close)


@pytest.mark.parametrize("name", FAMILIES)
def test_step_of_a_family_holds_one_chunk_of_logits(name, monkeypatch, largest):
    vocab, length, rows, chunk = 6000, 64, 8, 16
    monkeypatch.setattr(logits, "CHUNK_CPU", chunk * vocab)
    tokens, family = SpecialTokens(vocab_size=vocab), load_family(name)
    torch.manual_seed(0)
    model = family.model(vocab, d_model=16, layers=1, num_heads=2)
    collate = family.collators["lm"](tokens, MaxLength(length))
    examples = [{"tokens": list(range(20, 20 + length - 2))} for _ in range(rows)]
    batch = collate(examples, torch.Generator().manual_seed(0))
    key = {"arlm": "scored", "udlm": "noisable", "sedd_uniform": "noisable"}.get(
        name, "masked"
    )
    chosen = len(batch[f"{key}_positions"])
    products = 4 if key == "noisable" else 3  # of which one computes logits again
    for learns in (True, False):
        counter = FlopCounterMode(display=False)
        with largest, torch.set_grad_enabled(learns), counter:
            loss = family.loss(tokens)(model, batch)["loss"]
            if learns:
                loss.backward()
        assert 4 * chunk * vocab <= largest.bytes < 4 * chosen * vocab / 3
        counts = counter.get_flop_counts()["Global"]
        head = sum(n for op, n in counts.items() if "xlmgen" in str(op))
        assert head == (products if learns else 1) * 2 * chosen * 16 * vocab
