"""Weights that are read off the source are those of the real network."""

import pytest
import torch
from xlmgen.review.weights import CannotTell, read_weights

from xlmgen.registry import PACKAGE, find_families, load_family
from xlmgen.render import render
from xlmgen.review.side import installed
from xlmgen.spec.family import family_spec
from xlmgen.spec.schemas import built_in
from xlmgen.testing.combinations import Combinations, covering

VOCABULARY = 97


def read(source, cls="M", **arguments):
    def find(module):
        return source if module == "m" else installed(module)

    return read_weights(find, "m", cls, arguments)


@pytest.mark.parametrize("family", [found.name for found in find_families()])
def test_every_family_at_every_size(family):
    (folder,) = (found.folder for found in find_families() if found.name == family)
    parts = load_family(family)

    def find(module):
        inner = module.removeprefix(f"{PACKAGE}.{family}.")
        path = folder / f"{inner}.py"
        return path.read_text("utf-8") if path.is_file() else installed(module)

    for numbers in parts.sizes.values():
        with torch.device("meta"):
            real = parts.model(VOCABULARY, **numbers)
        module = f"{PACKAGE}.{family}.model_{family}"
        arguments = {"vocab_size": VOCABULARY, **numbers}
        weights = read_weights(find, module, parts.model.__name__, arguments)
        state = {name: tuple(t.shape) for name, t in real.state_dict().items()}
        assert weights.shapes == state
        assert weights.parameters == sum(p.numel() for p in real.parameters())


@pytest.mark.slow
def test_every_option_of_every_model_kind():
    """The covering combinations have every pair of options that contracts allow."""
    drawn = covering(Combinations(built_in(), each=200).valid(each=600))
    sources: dict[str, dict[str, int]] = {}
    for combination in drawn:
        spec = family_spec(combination.document("family_x"))
        sources[render(spec)["model_family_x.py"]] = next(iter(spec.sizes.values()))
    assert len(sources) > 20
    for source, numbers in sources.items():
        names: dict[str, type] = {}
        exec(source, names)
        with torch.device("meta"):
            real = names["FamilyXModel"](VOCABULARY, **numbers)
        weights = read(source, "FamilyXModel", vocab_size=VOCABULARY, **numbers)
        state = {name: tuple(t.shape) for name, t in real.state_dict().items()}
        assert weights.shapes == state, source


HEAD = "import math\nimport torch\nfrom torch import nn\n\n"


def both(body, n=6):
    """A network's state dict as read and as it is."""
    lines = "".join(f"        {line}\n" for line in body.strip().split("\n"))
    source = (
        f"{HEAD}WIDTH = 2 * 8\n\n"
        "class Inner(nn.Linear):\n"
        "    def __init__(self, n, bias=True):\n"
        "        super().__init__(n, n + 1, bias)\n\n"
        "class M(nn.Module):\n"
        "    def __init__(self, n, *, ffn=None):\n"
        f"        super().__init__()\n{lines}"
    )
    names = {}
    exec(source, names)
    real = names["M"](n)
    state = {name: tuple(t.shape) for name, t in real.state_dict().items()}
    weights = read(source, n=n)
    assert weights.parameters == sum(p.numel() for p in real.parameters())
    return weights.shapes, state


@pytest.mark.parametrize(
    "body",
    [
        "self.a = nn.Linear(n, WIDTH)",
        "self.a = nn.Linear(n, n * 2, bias=n > 7)",
        "self.a = nn.Embedding(n, 3)\nself.b = nn.Linear(3, n)\n"
        "self.b.weight = self.a.weight",
        "self.a = nn.LayerNorm(n)\nself.b = nn.LayerNorm((n, 2), bias=False)\n"
        "self.c = nn.RMSNorm(n, 1e-6)\n"
        "self.d = nn.RMSNorm(n, elementwise_affine=False)",
        "self.a = nn.Sequential(nn.Linear(n, 2), nn.SiLU(), Inner(4, False))",
        "self.a = nn.ModuleList(Inner(i + 1) for i in range(n) if i % 2)",
        "self.a = nn.ModuleList()\nfor i in range(3):\n    self.a.append(Inner(i + 1))",
        "self.a = nn.ModuleDict({'x': Inner(2), 'y': Inner(3)})",
        "self.a = nn.Parameter(torch.zeros(n, 2))\nself.b = torch.ones(3)",
        "self.register_buffer('a', torch.zeros(n))\n"
        "self.register_buffer('b', torch.arange(n) / 2, persistent=False)",
        "ffn = ffn or 32 * math.ceil(8 * n / 3 / 32)\nself.a = nn.Linear(n, ffn)",
        "k, m = (2, 3) if n > 5 else (4, 5)\nself.a = nn.Linear(k, m)",
        "if n == 6:\n    self.a = Inner(n)\nelse:\n    self.b = Inner(n)",
        "with torch.no_grad():\n    self.a = Inner(n)\n"
        "    nn.init.zeros_(self.a.weight)",
        "self.widths = [n, 2 * n]\nself.a = nn.Linear(*self.widths)",
        "self.add_module(f'x{n}', Inner(n))",
    ],
)
def test_what_constructors_do(body):
    found, real = both(body)
    assert found == real


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("self.a = nn.Bilinear(2, 2, 2)", "torch.nn.Bilinear is not a layer known"),
        ("self.a = make(n)", "make is not known"),
        ("while n:\n    n -= 1", "such a statement is not understood"),
        ("self.a = nn.Linear(n, n / 2)", "a shape is made of integers"),
        ("self.a = nn.Linear(n, 10 ** n)", "such a calculation is not understood"),
        ("self.a = nn.Linear(n, self.width)", "width"),
        ("self.register_buffer('a', torch.arange(n))", "the shape of what is saved"),
        ("if torch.rand(1) > 0:\n    self.a = nn.Linear(n, n)", ""),
        ("for i in range(10 ** 9):\n    pass", ""),
        ("self.a = [0 for i in range(100000)]", "more than 10000 items"),
        ("self.grow(n)", ".grow() does is not known"),
        ("self.a = nn.Linear(1 // 0, 1)", "by zero"),
    ],
)
def test_what_is_not_understood_is_said_and_not_guessed(body, said):
    lines = "".join(f"        {line}\n" for line in body.split("\n"))
    source = (
        f"{HEAD}class M(nn.Module):\n    def __init__(self, n):\n"
        f"        super().__init__()\n{lines}"
    )
    with pytest.raises(CannotTell, match="m, line 8") as raised:
        read(source, n=6)
    assert said in str(raised.value)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "class M(:",
        "class M: pass",
        "M = 3",
        "from nowhere import M",
        "from torch import nn\nclass M(nn.Module, object): pass",
        "class M(M): pass",
        f"{HEAD}def f(n): return f(n)\nclass M(nn.Module):\n"
        "    def __init__(self, n):\n        self.a = f(n)\n",
        f"{HEAD}class M(nn.Module):\n    def __init__(self, other): pass\n",
    ],
)
def test_no_source_gives_a_traceback(source):
    with pytest.raises(CannotTell):
        read(source, n=6)


def test_endless_work_is_given_up():
    source = (
        f"{HEAD}class M(nn.Module):\n    def __init__(self, n):\n"
        "        super().__init__()\n"
        + "".join(
            f"{'    ' * (2 + depth)}for i{depth} in range(9999):\n"
            for depth in range(4)
        )
        + "                        n = n + 1\n"
    )
    with pytest.raises(CannotTell, match="too many steps"):
        read(source, n=6)
