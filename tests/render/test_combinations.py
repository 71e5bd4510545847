"""What passes the check renders, is formatted, imports, and passes its own tests.

The combinations cover every pair of values of two options at least once.
"""

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from xlmgen.render import render
from xlmgen.spec.diagnostics import SpecError
from xlmgen.spec.family import FamilySpec, family_spec
from xlmgen.spec.load import load_yaml
from xlmgen.testing.subject import import_family

NAMES = ("x", "family_with_the_longest_name_yes")
SIZES = {"tiny": {"d_model": 16, "layers": 1, "heads": 2, "kv_heads": 1}}
CAP = {"rule": "cap", "eta": 0.1}
TOKENS = [{}, {"temperature": 0}, {"top_k": 4, "top_p": 0.9}]
NETWORK = {
    "norm": ["layer", "rms"],
    "activation": ["gelu", "relu", "swiglu"],
    "tie_head": [False, True],
    "rope_theta": [10000, 500],
}
CAUSAL = {
    "collator": [
        {"kind": "causal", "loss_on_prompt": scored, "eos": eos}
        for scored, eos in itertools.product([False, True], repeat=2)
    ],
    "max_new_tokens": [None, 7],
    "tokens": TOKENS,
    **NETWORK,
}
MASKED = {
    "rate": ["schedule", 0.15, {"uniform": [0, 1]}, {"uniform": [0.2, 0.9]}],
    "replace": [
        {},
        {"mask": 0.8, "random": 0.1, "keep": 0.1},
        {"mask": 0.5, "keep": 0.5},
    ],
    "bos": [False, True],
    "eos": [False, True],
    "padding": ["predict", "ignore"],
    "noise_schedule": [
        None,
        {"kind": "linear"},
        {"kind": "cosine", "antithetic": False},
        {"kind": "polynomial", "exponent": 3},
        {"kind": "geometric", "sampling_eps": 0.01},
    ],
    "time": ["none", "adaln"],
    "weight": ["none", "schedule"],
    "block": [None, 4],
    "guidance": [None, 1.5],
    "predictor": [
        {"order": "random"},
        {"first_hitting": True},
        {"order": "top_prob", "steps": 8},
        {"order": "top_prob", "threshold": 0.9},
        {"order": "margin", "order_temperature": 0.5},
        {"order": "entropy", "entropy_bound": 0.1},
        {"remask": CAP},
        {"remask": {"rule": "rescale", "eta": 0.1, "confidence": True}},
        {"remask": {**CAP, "window": {"kind": "switch", "t_on": 0.5}}},
        {"remask": {**CAP, "window": {"kind": "loop", "t_on": 0.5, "t_off": 0.1}}},
        {
            "remask": {
                **CAP,
                "confidence": True,
                "window": {"kind": "loop", "t_on": 0.5, "t_off": 0, "alpha_on": 0.9},
            }
        },
    ],
    "tokens": TOKENS,
    **NETWORK,
}


def causal_spec(choice, name):
    return {
        "name": name,
        "collator": choice["collator"],
        "model": network(choice, "causal"),
        "loss": {"kind": "next_token"},
        "predictor": {
            "kind": "left_to_right",
            "max_new_tokens": choice["max_new_tokens"],
            **choice["tokens"],
        },
    }


def masked_spec(choice, name):
    collator = {key: choice[key] for key in ("rate", "bos", "eos", "padding")}
    replace = {"replace": choice["replace"]} if choice["replace"] else {}
    return {
        "name": name,
        "collator": {"kind": "masking", **collator, **replace},
        "noise_schedule": choice["noise_schedule"],
        "model": network(choice, "bidirectional") | {"time": choice["time"]},
        "loss": {"kind": "masked", "weight": choice["weight"]},
        "predictor": {
            "kind": "unmasking",
            "block": choice["block"],
            "guidance": choice["guidance"],
            **choice["predictor"],
            **choice["tokens"],
        },
    }


def network(choice, attention):
    options = {key: choice[key] for key in NETWORK}
    return {"kind": "transformer", "attention": attention, "dropout": 0.1, **options}


def checked(data) -> FamilySpec | None:
    """The spec, or None where the check refuses the combination."""
    head = {"spec": "xlmgen/family/v1", "title": "A title", "sizes": SIZES}
    text = yaml.safe_dump({**head, **data}, sort_keys=False)
    try:
        return family_spec(load_yaml("family.yaml", text))
    except SpecError:
        return None


def covering(options, make, size, seed=0):
    """Valid specs that together show every pair of values that any valid one can.

    Each is the best of some random valid choices: the one that shows most new pairs.
    """
    draw, names = random.Random(seed), itertools.cycle(NAMES)
    pool = []
    while len(pool) < size:
        choice = {key: draw.randrange(len(values)) for key, values in options.items()}
        spec = checked(make({k: options[k][i] for k, i in choice.items()}, next(names)))
        if spec is not None:
            pool.append((set(itertools.combinations(sorted(choice.items()), 2)), spec))
    left = set().union(*(pairs for pairs, _ in pool))
    chosen = []
    while left:
        pairs, spec = max(pool, key=lambda entry: len(entry[0] & left))
        left -= pairs
        chosen.append(spec)
    return chosen


@pytest.fixture(scope="module")
def families(tmp_path_factory) -> list[tuple[FamilySpec, Path]]:
    """Every combination, rendered into a folder of its own."""
    specs = covering(CAUSAL, causal_spec, 40) + covering(MASKED, masked_spec, 150)
    placed = []
    for index, spec in enumerate(specs):
        folder = tmp_path_factory.mktemp(f"c{index}") / spec.name
        for path, text in render(spec).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, "utf-8")
        placed.append((spec, folder))
    return placed


def test_every_kind_and_both_name_lengths_are_among_them(families):
    specs = [spec for spec, _ in families]
    assert {spec.name for spec in specs} == set(NAMES)
    schedules = {spec.noise_schedule.kind for spec in specs if spec.noise_schedule}
    assert schedules == {"linear", "cosine", "polynomial", "geometric"}
    orders = {spec.predictor.options.get("order") for spec in specs}
    assert orders == {None, "random", "top_prob", "margin", "entropy"}
    assert len(specs) > 40


def test_renders_are_formatted(families):
    folders = [str(folder) for _, folder in families]
    command = [sys.executable, "-m", "ruff", "format", "--check", "--isolated"]
    done = subprocess.run(
        [*command, *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_renders_have_no_line_that_is_too_long_and_no_unused_name(families):
    folders = [str(folder) for _, folder in families]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E,F"]
    command += ["--ignore", "F722"]
    done = subprocess.run(
        [*command, *folders], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_renders_import_as_their_family(families):
    for spec, folder in families:
        family = import_family(folder)
        assert family.name == spec.name
        assert set(family.sizes) == set(spec.sizes)


@pytest.mark.slow
def test_some_of_them_pass_their_own_tests(families):
    """A seeded sample: the suites of all would take many minutes."""
    sample = random.Random(1).sample(families, 6)
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for _, folder in sample:
        command = [sys.executable, "-m", "pytest", str(folder), "-q", "-x"]
        command += ["-p", "no:cacheprovider", "-c", os.devnull]
        done = subprocess.run(
            [*command, "--rootdir", str(folder.parent)],
            cwd=folder.parent,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, (folder / "family.yaml").read_text() + done.stdout
