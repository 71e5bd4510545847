"""Contracts between components: valid and invalid combinations, and suggested fixes."""

from dataclasses import replace
from itertools import product

import pytest

from xlmgen.spec.contracts import capabilities
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.load import load_yaml
from xlmgen.spec.schemas import COMPONENTS, built_in
from xlmgen.spec.validate import validate

CHOICES = {
    "collator": [
        "{kind: causal}",
        "{kind: masking}",
        "{kind: masking, rate: 0.2}",
        "{kind: block_masking, block_size: 4}",
    ],
    "noise_schedule": ["null", "{kind: linear}"],
    "model": [
        "{kind: transformer, attention: causal}",
        "{kind: transformer, attention: bidirectional}",
        "{kind: transformer, attention: bidirectional, time: adaln}",
        "{kind: qwen2, attention: bidirectional, shift: true}",
        "{kind: transformer, attention: block_causal}",
        "{kind: transformer, attention: block_causal, time: adaln}",
    ],
    "loss": [
        "{kind: next_token}",
        "{kind: masked}",
        "{kind: masked, weight: schedule}",
        "{kind: masked, weight: context}",
        "{kind: block_masked}",
    ],
    "predictor": [
        "{kind: left_to_right}",
        "{kind: unmasking}",
        "{kind: unmasking, order: entropy}",
        "{kind: block_unmasking}",
    ],
}


def spec(**components):
    lines = "\n".join(f"{component}: {text}" for component, text in components.items())
    return load_yaml(
        "x.yaml",
        "spec: xlmgen/family/v1\nname: sample\ntitle: A sample\n"
        f"sizes: {{tiny: {{d_model: 8, layers: 1, num_heads: 2}}}}\n{lines}\n",
    )


def sound(collator, noise_schedule, model, loss, predictor):
    """Whether a combination is consistent, independently of the schemas."""
    components = collator, model, loss, predictor
    if any("block" in component for component in components):
        return all("block" in c for c in components) and noise_schedule != "null"
    scheduled = "rate" not in collator and "masking" in collator
    timed = "adaln" in model
    if loss == "{kind: next_token}":
        return (
            "causal" in collator
            and "attention: causal" in model
            and "left_to_right" in predictor
            and noise_schedule == "null"
        )
    if "masking" not in collator or "bidirectional" not in model:
        return False
    if "unmasking" not in predictor:
        return False
    if scheduled and noise_schedule == "null":
        return False
    if (timed or "schedule" in loss) and not scheduled:
        return False
    used = scheduled or "order" not in predictor
    return noise_schedule == "null" or used


def test_only_consistent_combinations_pass():
    passed = []
    for choice in product(*CHOICES.values()):
        components = dict(zip(CHOICES, choice, strict=True))
        problems = validate(spec(**components), "family")
        assert (not problems) == sound(**components), (components, problems)
        assert {problem.code for problem in problems} <= {"XG201"}
        passed += [components] if not problems else []
    assert len(passed) >= 8


GROWING = {
    "collator": ["{kind: masking}", "{kind: mask_and_delete}"],
    "noise_schedule": ["null", "{kind: linear}", "{kind: insert_and_unmask}"],
    "model": [
        f"{{kind: transformer, attention: bidirectional{rest}}}"
        for rest in (
            ", time: adaln",
            ", output_heads: [tokens, gap]",
            ", output_heads: [tokens, gap], time: adaln",
            ", output_heads: [tokens, gap], gap_head: distribution, time: adaln",
        )
    ],
    "loss": ["{kind: masked, weight: schedule}", "{kind: mask_and_insert}"],
    "predictor": ["{kind: unmasking}", "{kind: mask_and_insert}"],
}


def test_mask_and_insert_needs_schedule_pair_gap_head_and_time():
    for choice in product(*GROWING.values()):
        components = dict(zip(GROWING, choice, strict=True))
        growing = (
            "delete" in components["collator"],
            "insert" in components["noise_schedule"],
            "gap" in components["model"],
            "insert" in components["loss"],
            "insert" in components["predictor"],
        )
        masked = not any(growing) and components["noise_schedule"] != "null"
        works = masked or (all(growing) and "adaln" in components["model"])
        assert (not validate(spec(**components), "family")) == works, components


NOISING = {
    "collator": ["{kind: masking}", "{kind: replacing}"],
    "noise_schedule": ["null", "{kind: linear}", "{kind: geometric}"],
    "model": [
        "{kind: transformer, attention: causal}",
        "{kind: transformer, attention: bidirectional}",
        "{kind: transformer, attention: bidirectional, time: adaln}",
        "{kind: qwen2, attention: bidirectional, time: adaln}",
    ],
    "loss": [
        "{kind: masked, weight: schedule}",
        "{kind: state_entropy}",
        "{kind: noised}",
        "{kind: noised, scored: all}",
        "{kind: generalised_kl}",
    ],
    "predictor": ["{kind: unmasking}", "{kind: resampling}"],
}


def test_uniform_noise_needs_its_collator_loss_and_predictor():
    """The bound needs the time as well, and flow matching exact ends."""
    for choice in product(*NOISING.values()):
        blocks = dict(zip(NOISING, choice, strict=True))
        noising = (
            "replacing" in blocks["collator"],
            "masked" not in blocks["loss"],
            "resampling" in blocks["predictor"],
        )
        works = all(noising) or not any(noising)
        works &= blocks["noise_schedule"] != "null"
        works &= "bidirectional" in blocks["model"]
        if "state_entropy" in blocks["loss"]:
            works &= "adaln" in blocks["model"]
        if "generalised_kl" in blocks["loss"]:
            works &= "linear" in blocks["noise_schedule"]
        assert (not validate(spec(**blocks), "family")) == works, blocks


def test_ratios_need_a_schedule_that_leaves_a_signal():
    def problems(schedule):
        return validate(
            spec(
                collator="{kind: replacing}",
                noise_schedule=schedule,
                model="{kind: transformer, attention: bidirectional, time: adaln}",
                loss="{kind: state_entropy, output: ratios}",
                predictor="{kind: resampling}",
            ),
            "family",
        )

    assert not problems("{kind: geometric}")
    for schedule, fix in (
        ("{kind: linear}", "noise_schedule: {kind: geometric, sigma_max: at most 27}"),
        ("{kind: geometric, sigma_max: 1000}", "noise_schedule.sigma_max: at most 27"),
    ):
        (problem,) = problems(schedule)
        assert problem.code == "XG201"
        assert "signal_at_end" in problem.message
        assert problem.fix.endswith(fix)


@pytest.mark.parametrize(
    ("loss", "predicts"),
    [
        ("{kind: state_entropy}", "predicts:clean_without_itself"),
        ("{kind: state_entropy, output: ratios}", "predicts:ratios"),
        ("{kind: noised}", "predicts:clean_without_itself"),
        ("{kind: noised, scored: all}", "predicts:clean"),
        ("{kind: generalised_kl}", "predicts:clean"),
    ],
)
def test_loss_says_what_its_network_predicts(loss, predicts):
    document = spec(
        collator="{kind: replacing}",
        noise_schedule="{kind: linear}",
        model="{kind: transformer, attention: bidirectional, time: adaln}",
        loss=loss,
        predictor="{kind: resampling}",
    )
    schemas = built_in()
    blocks = {
        block: fill_defaults(
            document.data[block], schemas.kind(block, document.data[block]["kind"])
        )
        for block in COMPONENTS
    }
    found = {c for c in capabilities(blocks, schemas) if c.startswith("predicts:")}
    assert found == {predicts}


INSERTING = {
    "collator": ["{kind: masking, rate: 0.2}", "{kind: dropping, eos: true}"],
    "noise_schedule": ["null", "{kind: linear}"],
    "model": [
        "{kind: transformer, attention: bidirectional}",
        "{kind: transformer, attention: bidirectional, output_heads: [tokens, gap]}",
        "{kind: transformer, attention: bidirectional, output_heads: [tokens, stop]}",
        "{kind: transformer, attention: bidirectional, output_heads: [tokens, stop], "
        "shift: true}",
        "{kind: transformer, attention: bidirectional, output_heads: [tokens, stop], "
        "time: adaln}",
        "{kind: qwen2, attention: bidirectional}",
    ],
    "loss": ["{kind: masked}", "{kind: insertion}"],
    "predictor": ["{kind: unmasking, order: entropy}", "{kind: insertion}"],
}


def test_insertion_needs_stop_head_and_explicit_positions():
    """Insertion has no schedule and no time; rows are stored in insertion order."""
    for choice in product(*INSERTING.values()):
        components = dict(zip(INSERTING, choice, strict=True))
        inserting = (
            "dropping" in components["collator"],
            "stop" in components["model"],
            "insertion" in components["loss"],
            "insertion" in components["predictor"],
        )
        plain = not any(
            word in components["model"] for word in ("adaln", "shift", "gap")
        )
        works = (
            (all(inserting) or not any(inserting))
            and plain
            and components["noise_schedule"] == "null"
        )
        assert (not validate(spec(**components), "family")) == works, components


def test_unmet_contract_is_reported_at_its_option():
    document = spec(
        collator="{kind: masking, rate: 0.15}",
        model="{kind: transformer, attention: bidirectional}",
        loss="{kind: masked, weight: schedule}",
        predictor="{kind: unmasking}",
        noise_schedule="{kind: linear}",
    )
    (problem,) = validate(document, "family")
    assert problem.path == "loss.weight"
    assert document.lines[problem.line - 1][problem.col - 1 :].startswith("schedule}")
    assert problem.fix == "set collator.rate: schedule"


def test_unmet_contract_of_default_is_reported_at_kind():
    document = spec(
        collator="{kind: masking}",
        model="{kind: transformer, attention: bidirectional}",
        loss="{kind: masked}",
        predictor="{kind: unmasking}",
    )
    (problem,) = validate(document, "family")
    assert problem.path == "collator.kind"
    assert "rate: schedule" in problem.message
    assert "linear" in problem.fix


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_requirement_is_provided_by_some_kind(component):
    """A capability that nothing provides would make a kind unusable."""
    schemas = built_in()
    provided = {
        entry if isinstance(entry, str) else entry["capability"]
        for other in COMPONENTS
        for kind in schemas.kinds(other)
        for entry in schemas.kind(other, kind).get("x-provides", ())
    }
    for kind in schemas.kinds(component):
        for entry in schemas.kind(component, kind).get("x-requires", ()):
            name = entry if isinstance(entry, str) else entry["capability"]
            assert name in provided, f"{component} {kind} requires {name}"


def test_capabilities_follow_options():
    def of(text):
        component = load_yaml("x.yaml", f"model: {text}").data["model"]
        filled = fill_defaults(component, built_in().kind("model", "transformer"))
        return capabilities({"model": filled}, built_in())

    causal = of("{kind: transformer, attention: causal}")
    assert {"cache", "attention:causal"} <= causal
    assert not {"time_input", "attention:bidirectional"} & causal


MISFIT = {
    "collator": "{kind: causal}",
    "model": "{kind: transformer, attention: bidirectional}",
    "loss": "{kind: masked}",
    "predictor": "{kind: unmasking}",
}


def unmet(components, **others):
    """Paths of unmet requirements after replacing or removing keys."""
    document = spec(**components)
    data = {**document.data, **others}
    data = {key: value for key, value in data.items() if value is not None}
    problems = validate(replace(document, data=data), "family")
    assert problems
    return {problem.path for problem in problems if problem.code == "XG201"}


def test_problem_elsewhere_does_not_hide_unmet_requirement():
    alone = unmet(MISFIT)
    assert alone == {"loss.kind"}  # a causal collator masks nothing
    for others in (
        {"title": None},
        {"title": None, "sizes": None},
        {"name": 3},
        {"sizes": {}},
        {"colour": 1},
    ):
        assert unmet(MISFIT, **others) == alone, others


def test_invalid_component_counts_as_providing_all_of_its_kind():
    """A missing component, or one of unknown kind, counts as providing everything."""
    assert unmet(MISFIT, predictor={"kind": "unmasking", "stps": 8}) == {"loss.kind"}
    assert unmet(MISFIT, predictor=None) == {"loss.kind"}
    assert unmet(MISFIT, collator={"kind": "causal", "eos": 1}) == {"loss.kind"}
    assert unmet(MISFIT, loss={"kind": "masked", "weight": "schedul"}) == set()
    for collator in ({"kind": "masing"}, "masking", None):
        assert "loss.kind" not in unmet(MISFIT, collator=collator), collator
