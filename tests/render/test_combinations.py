"""Every valid spec renders, trains and generates.

The combinations are made of all kinds that the schemas list and of the values that
their options show. Together they have every pair of values that contracts allow. The
families of `examples/families/` are among them.
"""

import itertools
import json
import os
import random
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from xlmgen import resources
from xlmgen.io import bounded
from xlmgen.render import render
from xlmgen.runtime.special_tokens import MaxLength
from xlmgen.spec import contracts
from xlmgen.spec.family import FamilySpec, family_spec, read_family
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import COMPONENTS, Schemas, built_in
from xlmgen.spec.validate import validate
from xlmgen.testing.combinations import Combinations, covering, names
from xlmgen.testing.subject import TOKENS, import_family
from xlmgen.testing.toy import seeded

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples" / "families").glob("*.yaml"))
ALL = "XLMGEN_ALL_COMBINATIONS"
"""With this in the environment, the generated tests of all of them run."""

PAIRS = [([5], [6, 7]), ([6, 7], [5]), ([7], [7, 5]), ([5, 5], [])]
ROWS = {
    "lm": [{"tokens": prompt + target} for prompt, target in PAIRS],
    "seq2seq": [{"prompt": prompt, "target": target} for prompt, target in PAIRS],
    "infill": [
        {"tokens": prompt + target, "given": [1] * len(prompt) + [0] * len(target)}
        for prompt, target in PAIRS
    ],
    "predict": [{"prompt": prompt} for prompt, _ in PAIRS],
    "unconditional": [{}, {}],
}
ROWS["predict_infill"] = ROWS["infill"]
TRAINING = ("lm", "seq2seq", "infill")


@pytest.fixture(scope="module")
def combinations() -> Combinations:
    return Combinations(built_in(), each=200)


@pytest.fixture(scope="module")
def chosen(combinations):
    return covering(combinations.valid(each=600))


@pytest.fixture(scope="module")
def families(chosen, tmp_path_factory) -> list[tuple[FamilySpec, Path]]:
    """Render all combinations."""
    top = tmp_path_factory.mktemp("combinations")
    pairs = zip(chosen, names(), strict=False)
    drawn = [family_spec(combination.document(name)) for combination, name in pairs]
    specs = [read_family(path) for path in EXAMPLES] + drawn
    for spec in specs:
        for path, text in render(spec).items():
            (top / spec.name / path).parent.mkdir(parents=True, exist_ok=True)
            (top / spec.name / path).write_text(text, "utf-8")
    return [(spec, top / spec.name) for spec in specs]


@contextmanager
def saying(spec):
    """Add the family to a failure's message."""
    try:
        yield
    except Exception as error:
        error.add_note(spec.source)
        raise


def test_combinations_cover_every_kind(chosen, combinations):
    kinds = {key for combination in chosen for key in combination.kinds.items()}
    assert kinds == set(combinations.components)


def test_page_shows_examples_verbatim():
    page = (ROOT / "docs" / "combinations.md").read_text("utf-8")
    for path in EXAMPLES:
        _editor_line, text = path.read_text("utf-8").split("\n", 1)
        assert f"## `{path.stem}`: " in page
        assert f"```yaml\n{text}```\n" in page
    assert len(EXAMPLES) >= 6


def test_check_refuses_exactly_unmet_contracts(combinations):
    some = [*itertools.islice(combinations.any(), 150), *combinations.valid(each=1)]
    assert any(combination.unmet for combination in some)
    for combination in some:
        problems = validate(combination.document("sample"), "family")
        assert {problem.code for problem in problems} <= {"XG201"}
        needs = {problem.message.split(" needs ")[1].split()[0] for problem in problems}
        assert needs == combination.unmet
        assert all(problem.fix and problem.line for problem in problems)


def clauses():
    schemas = built_in()
    for component in COMPONENTS:
        for kind in schemas.kinds(component):
            for clause in contracts.clauses(
                schemas.kind(component, kind), "x-requires"
            ):
                text = f"{component}-{kind}-{clause.capability}-{clause.words}"
                yield pytest.param(component, kind, clause, id=text)


@pytest.mark.parametrize(("component", "kind", "clause"), list(clauses()))
def test_unmet_requirement_is_refused(
    component, kind, clause, combinations, tmp_path, monkeypatch
):
    # A process for every one of hundreds of validations would take minutes.
    monkeypatch.setattr(bounded, "_inside", True)
    for other in COMPONENTS:
        folder = tmp_path / "kinds" / other
        folder.mkdir(parents=True)
        schema = {"type": "object", "required": ["kind"], "properties": {"kind": {}}}
        (folder / "nothing.schema.json").write_text(json.dumps(schema))
    schemas = Schemas((tmp_path, resources.root() / "schemas"))
    components = {
        other: {"kind": "nothing"} for other in COMPONENTS if other != "noise_schedule"
    }
    messages = []
    for candidate in combinations.components[component, kind]:
        if clause.capability in candidate.requires - candidate.provides:
            data = {"spec": "xlmgen/family/v1", "name": "sample", "title": "A sample"}
            sizes = {"tiny": {"d_model": 8, "layers": 1, "num_heads": 2}}
            data |= components | {component: candidate.data, "sizes": sizes}
            document = load_yaml("x.yaml", json.dumps(data))
            messages += [d.message for d in validate(document, "family", schemas)]
    assert any(
        f"needs {clause.capability}" in message and clause.why in message
        for message in messages
    )


def run(*command: object, **options) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_renders_are_formatted(families):
    run("ruff", "format", "--check", "--isolated", families[0][1].parent)


def test_renders_pass_the_linter(families):
    top = families[0][1].parent
    run("ruff", "check", "--config", ROOT / "pyproject.toml", top)


@pytest.mark.slow
def test_renders_pass_the_type_checker(families, tmp_path):
    packages = [arg for _, folder in families for arg in ("-p", folder.name)]
    command = ["mypy", "--config-file", ROOT / "pyproject.toml", "--cache-dir"]
    top = str(families[0][1].parent)
    environment = os.environ | {"MYPYPATH": top}
    run(*command, tmp_path, *packages, cwd=ROOT, env=environment)


def test_metrics_of_a_documented_bound_are_bounds(families):
    for spec, folder in families:
        types = (folder / f"types_{spec.name}.py").read_text("utf-8")
        metrics = (folder / f"metrics_{spec.name}.py").read_text("utf-8")
        if "bound on −log p" in types:
            assert '"nll_bound"' in metrics, spec.source


def test_renders_import_as_their_family(families):
    for spec, folder in families:
        with saying(spec):
            family = import_family(folder)
            assert family.name == spec.name
            assert set(family.sizes) == set(spec.sizes)


@pytest.mark.slow
def test_renders_train_ten_steps_and_generate(families):
    for spec, folder in families:
        with saying(spec):
            works(import_family(folder))


MAX_LENGTH = MaxLength(answer=6, prompt=3)


def works(family):
    """Train ten steps, then generate for every use of the family."""
    model = train(family)
    for use in set(family.collators) - set(TRAINING):
        batch = family.collators[use](TOKENS, MAX_LENGTH)(ROWS[use])
        out = family.predictor(TOKENS).generate(model, batch, seeded())
        answers = out.answers(TOKENS.eos)
        assert len(answers) == len(ROWS[use])
        suppress_tokens = {TOKENS.mask, TOKENS.cls, TOKENS.bos}
        assert not suppress_tokens & set(itertools.chain(*answers))


def train(family):
    """Train the family's network for ten steps, with its collators in turn."""
    torch.manual_seed(0)
    model = family.model(TOKENS.vocab_size, **family.sizes["tiny"])
    before = {name: value.clone() for name, value in model.named_parameters()}
    loss, metrics = family.loss(TOKENS), family.metrics()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    uses = [use for use in TRAINING if use in family.collators]
    assert uses
    generator = seeded()
    for _, use in zip(range(10), itertools.cycle(uses), strict=False):
        collate = family.collators[use](TOKENS, MAX_LENGTH)
        output = loss(model, collate(ROWS[use] * 32, generator))
        assert output["loss"].isfinite()
        optimizer.zero_grad()
        torch.autograd.backward(output["loss"])
        optimizer.step()
        metrics.update(output)
    assert all(torch.as_tensor(v).isfinite() for v in metrics.compute().values())
    unused = [n for n, v in model.named_parameters() if v.equal(before[n])]
    assert not unused, f"ten steps changed nothing in {unused}"
    return model.eval()


@pytest.mark.slow
def test_renders_pass_their_own_tests(families):
    """Tests examples and a seeded sample, or all if the environment says so."""
    examples, drawn = families[: len(EXAMPLES)], families[len(EXAMPLES) :]
    some = families if os.environ.get(ALL) else examples + sample(drawn, 6)
    top = families[0][1].parent
    command = ["pytest", *(folder for _, folder in some), "-q", "--rootdir", top]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, "--import-mode=importlib"]
    run(*command, cwd=top, env=os.environ | {"OMP_NUM_THREADS": "1"})


def sample(families, count):
    """Draw a sample that covers all mixes of kinds, and every network with their parts.

    The loss is tested with oracles, so it need not meet every network.
    """
    shuffled = random.Random(1).sample(families, len(families))
    covered: set[tuple[str, ...]] = set()
    mixes = []
    for spec, folder in shuffled:
        collator, loss, predictor = spec.collator, spec.loss, spec.predictor
        mix = {
            (collator.kind, loss.kind, predictor.kind),
            (spec.model.kind, collator.kind),
            (spec.model.kind, predictor.kind),
        }
        if mix - covered:
            mixes.append((spec, folder))
            covered |= mix
    others = [family for family in shuffled if family not in mixes]
    return [*mixes, *others][: max(count, len(mixes))]
