"""A linear layer is PyTorch's, by whichever library it is computed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from xlmgen.runtime.nn import Linear
from xlmgen.runtime.nn import linear as module

EXACT, exactness = module.onednn_is_exact(), module.onednn_is_exact.__wrapped__


@pytest.fixture(autouse=True)
def avx512(monkeypatch):
    """As on a processor where oneDNN is faster and exact."""
    monkeypatch.setattr(module, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(module, "onednn_is_exact", lambda: EXACT)


@pytest.fixture
def products(monkeypatch):
    """What was given to oneDNN."""
    given = []
    original = module._Product.apply

    def counted(*inputs):
        given.append(inputs)
        return original(*inputs)

    monkeypatch.setattr(module._Product, "apply", counted)
    return given


@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_float32(products, bias):
    ours, exact = Linear(48, 80, bias=bias), nn.Linear(48, 80, bias=bias).double()
    exact.load_state_dict(ours.state_dict())
    x = torch.randn(5, 120, 48, requires_grad=True)
    exact_x = x.detach().double().requires_grad_()
    weights = torch.randn(5, 120, 80)
    y, exact_y = ours(x), exact(exact_x)
    (y * weights).sum().backward()
    (exact_y * weights.double()).sum().backward()
    assert len(products) == EXACT
    torch.testing.assert_close(y.double(), exact_y, atol=1e-5, rtol=0)
    torch.testing.assert_close(x.grad.double(), exact_x.grad, atol=1e-5, rtol=0)
    for parameter, expected in zip(ours.parameters(), exact.parameters(), strict=True):
        gradient = parameter.grad.double()
        torch.testing.assert_close(gradient, expected.grad, atol=1e-4, rtol=0)


def test_the_setting_of_the_process_is_put_back():
    x = torch.randn(600, 48, requires_grad=True)
    Linear(48, 80)(x).sum().backward()
    assert torch.get_float32_matmul_precision() == "highest"
    with pytest.raises(RuntimeError, match="shape"):
        Linear(48, 80)(torch.randn(600, 47))
    assert torch.get_float32_matmul_precision() == "highest"


def test_few_rows_other_numbers_and_autocast_are_pytorch_s(products):
    layer = Linear(48, 80)
    rows = module.FEWEST_PRODUCTS // (48 * 80)
    layer(torch.randn(rows, 48))
    Linear(2048, 2048)(torch.randn(module.FEWEST_ROWS - 1, 2048))
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.randn(rows + 1, 48)).dtype == torch.bfloat16
    layer(torch.randn(rows + 1, 48))
    assert len(products) == EXACT
    layer.double()(torch.randn(rows + 1, 48, dtype=torch.float64))
    assert len(products) == EXACT


def test_without_gradients_the_values_are_the_same(products):
    layer, x = Linear(48, 80), torch.randn(5, 200, 48)
    with torch.inference_mode():
        y = layer(x)
    assert torch.get_float32_matmul_precision() == "highest"
    torch.testing.assert_close(y, F.linear(x, layer.weight, layer.bias))


def test_processor_without_avx512_multiplies_by_pytorch(monkeypatch):
    monkeypatch.undo()
    faster = module.onednn_is_faster.__wrapped__
    for capability in ("DEFAULT", "AVX2", "AVX512"):
        name = "get_cpu_capability"
        monkeypatch.setattr(torch.backends.cpu, name, lambda c=capability: c)
        assert faster() == (capability == "AVX512")
    monkeypatch.setattr(module, "onednn_is_faster", lambda: False)
    assert not module.onednn_pays(torch.randn(600, 48), torch.randn(80, 48))


def test_a_library_that_rounds_is_noticed(monkeypatch):
    exact = F.linear

    def rounded(x, weight):
        return exact(x.bfloat16(), weight.bfloat16()).float()

    monkeypatch.setattr(module.F, "linear", rounded)
    assert exactness() is False
    monkeypatch.setattr(module.F, "linear", exact)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert exactness() is False
