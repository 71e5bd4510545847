"""Networks on the meta device have the weights and costs of the real ones."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from xlmgen.registry import find_families
from xlmgen.render import render
from xlmgen.review import Measure, network
from xlmgen.review.meta import measure, model_class
from xlmgen.review.network import Asked, Network, Unknown, build
from xlmgen.spec.family import family_spec, read_family
from xlmgen.spec.load import load_yaml
from xlmgen.spec.project import Project
from xlmgen.spec.schemas import built_in
from xlmgen.testing.combinations import Combinations, covering

VOCABULARY, LENGTH = 97, 24
FAMILIES = {found.name: found.folder / "family.yaml" for found in find_families()}


def measured(spec):
    (answer,) = measure(([(spec, list(spec.sizes))], VOCABULARY, LENGTH))
    return answer


def defined(source):
    """The network that a rendered module defines, by its source."""
    names = {}
    exec(source, names)
    (model,) = (names[name] for name in names if name.endswith("Model"))
    return model


def shapes(model):
    return {name: list(t.shape) for name, t in model.state_dict().items()}


def linear_flops(model):
    """Of the linear layers in a forward and a backward pass over one row."""
    count = 0

    def add(layer, inputs, output):
        nonlocal count
        rows = inputs[0].numel() // layer.in_features
        products = 1 + 1 + inputs[0].requires_grad  # forward, for weights, for inputs
        count += 2 * products * rows * layer.weight.numel()

    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_hook(add)
    ids = torch.zeros(1, LENGTH, dtype=torch.long)
    try:
        model(ids)
    except TypeError:
        model(ids, t=torch.zeros(1))
    return count


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_at_every_size(family):
    spec = read_family(FAMILIES[family])
    model = defined(FAMILIES[family].with_name(f"model_{family}.py").read_text("utf-8"))
    answers = measured(spec)
    assert list(answers) == list(spec.sizes)
    for size, numbers in spec.sizes.items():
        with torch.device("meta"):
            real = model(VOCABULARY, **numbers)
            linear = linear_flops(real)
        answer = answers[size]
        assert answer["shapes"] == shapes(real)
        assert sum(answer["modules"].values()) == sum(
            p.numel() for p in real.parameters()
        )
        attention = 12 * numbers["layers"] * numbers["d_model"] * LENGTH**2
        assert answer["flops"] == round((linear + attention) / LENGTH)


@pytest.mark.slow
def test_every_option_of_every_model_kind():
    """The covering combinations have every pair of options that contracts allow."""
    drawn = covering(Combinations(built_in(), each=200).valid(each=600))
    specs = {}
    for combination in drawn:
        spec = family_spec(combination.document("family_x"))
        specs[render(spec)["model_family_x.py"]] = spec
    assert len(specs) > 20
    for source, spec in specs.items():
        for size, answer in measured(spec).items():
            real = defined(source)(VOCABULARY, **spec.sizes[size])
            assert answer["shapes"] == shapes(real), source
            assert answer["flops"] > 0


def test_shared_weights_count_once():
    spec = read_family(FAMILIES["arlm"])
    options = {**spec.model.options, "tie_head": True}
    assert options != dict(spec.model.options)
    tied = measured(replace(spec, model=replace(spec.model, options=options)))["tiny"]
    assert tied["modules"]["embedding"] == VOCABULARY * 128
    assert "head" not in tied["modules"]
    assert "head.weight" in tied["shapes"]


def asked(layers=2, **numbers):
    spec = read_family(FAMILIES["mdlm"])
    sizes = {"tiny": {"d_model": 16, "layers": layers, "num_heads": 2, **numbers}}
    return Asked(replace(spec, sizes=sizes), ["tiny"])


def test_one_process_builds_all_that_is_asked_for():
    unknown = Unknown("not ours")
    sides = [asked(), Asked(unknown, ["tiny", "small"]), Asked(unknown, ()), asked(3)]
    first, second, third, fourth = build(sides, Measure(VOCABULARY, LENGTH))
    assert second == {"tiny": unknown, "small": unknown}
    assert third == {}
    assert first["tiny"].shapes["embedding.weight"] == (VOCABULARY, 16)
    assert fourth["tiny"].parameters > first["tiny"].parameters
    assert first["tiny"].modules["head"] == fourth["tiny"].modules["head"]


def test_numbers_that_no_network_has_are_unknown():
    """Contracts refuse these before; a network that a kind refuses is no traceback."""
    spec = asked(num_heads=3).spec
    (answer,) = measure(([(spec, ["tiny"])], VOCABULARY, LENGTH))
    assert answer["tiny"]["reason"].startswith("no network has such numbers: ")


def test_a_network_that_takes_too_long_is_unknown(monkeypatch):
    monkeypatch.setattr(network, "SECONDS", 4)
    (found,) = build([asked(layers=5000)], Measure(VOCABULARY, LENGTH))
    assert found == {
        "tiny": Unknown(
            "building the networks: it takes longer than 4 s (mdlm, size tiny)"
        )
    }


def test_a_network_larger_than_memory_is_built(monkeypatch):
    """Its numbers take no memory."""
    wide = asked(d_model=65536, num_heads=64, ffn=1048576)
    (found,) = build([wide], Measure(1_000_000, LENGTH))
    assert isinstance(found["tiny"], Network)
    assert found["tiny"].parameters > 10**11


def test_templates_of_a_project_are_not_rendered(tmp_path):
    """Not even where the spec of a project is handed over."""
    kinds, templates = tmp_path / "schemas/kinds/model", tmp_path / "templates/family"
    for folder in (kinds, templates / "model"):
        folder.mkdir(parents=True)
    ran = tmp_path / "ran"
    (templates / "model/transformer.py.jinja").write_text(f"open({str(ran)!r}, 'w')")
    spec = replace(asked().spec, project=Project(tmp_path))
    assert model_class(spec).__name__ == "MdlmModel"
    assert not ran.exists()


def test_no_text_of_a_spec_is_in_what_is_built():
    text = FAMILIES["mdlm"].read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("title:")]
    document = load_yaml("mdlm.yaml", "\n".join([*lines, "title: somethingelse"]))
    files = render(family_spec(document))
    assert "somethingelse" in files["__init__.py"]
    assert (
        files["model_mdlm.py"] == render(read_family(FAMILIES["mdlm"]))["model_mdlm.py"]
    )
