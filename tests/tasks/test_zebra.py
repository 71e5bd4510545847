"""Zebra puzzles, compared with all arrangements."""

from itertools import permutations, product

import pytest

from xlmgen.data.task import load_task
from xlmgen.errors import UserError
from xlmgen.spec.generators.zebra import KINDS
from xlmgen.tasks import zebra
from xlmgen.tasks.answered import Answered

SIZES = {"train": 30, "validation": 5, "test": 10}


def source_of(name, **changes):
    return {**load_task(name).source, "sizes": SIZES, **changes}


def parse(prompt):
    """Clues of a text."""
    words, found = prompt.split(), []
    while words:
        count = {"ends": 2, "between": 4}.get(words[0], 3)
        found.append(tuple(words[:count]))
        words = words[count:]
    return found


def holds(clue, place, houses):
    """Whether a clue is true, where `place` has the house of each value."""
    kind, *words = clue
    where = [place[w] if w in place else int(w) for w in words]
    match kind, where:
        case "at" | "same", [a, b]:
            return a == b
        case "differ", [a, b]:
            return a != b
        case "ends", [a]:
            return a == 0 or a == houses - 1
        case "next", [a, b]:
            return a + 1 == b or b + 1 == a
        case "left", [a, b]:
            return a < b
        case "just_left", [a, b]:
            return a + 1 == b
        case "between", [a, b, c]:
            return a in range(min(b, c) + 1, max(b, c))
    raise AssertionError(clue)


def arrangements(clues, houses, attributes):
    """All arrangements that meet the clues."""
    found = [{}]
    for letter in "abcdefgh"[:attributes]:
        found = [
            whole
            for place in found
            for order in permutations(range(houses))
            if meets(
                whole := place | {f"{letter}{n}": h for n, h in enumerate(order)},
                clues,
                houses,
            )
        ]
    return found


def meets(place, clues, houses):
    """Whether the clues about placed values hold."""
    return all(
        holds(clue, place, houses)
        for clue in clues
        if all(word.isdigit() or word in place for word in clue[1:])
    )


def in_houses(target, attributes):
    return {value: n // attributes for n, value in enumerate(target.split())}


@pytest.mark.parametrize("name", ["zebra_tiny", "zebra"])
def test_puzzle_has_unique_solution_within_clue_limit(name):
    source = source_of(name)
    houses, attributes = source["houses"], source["attributes"]
    used = set()
    for split in zebra.records(source).values():
        for prompt, target in zip(split["prompt"], split["target"], strict=True):
            clues = parse(prompt)
            used |= {clue[0] for clue in clues}
            assert len(set(clues)) == len(clues) <= source["clues"]
            found = arrangements(clues, houses, attributes)
            assert found == [in_houses(target, attributes)]
    assert used == set(source["kinds"])


def test_only_spare_clues_can_be_removed():
    source = source_of("zebra_tiny")
    for spare in (0, 2):
        split = zebra.records({**source, "spare": spare})["train"]
        for prompt in split["prompt"][:20]:
            clues = parse(prompt)
            needed = sum(
                len(arrangements([c for c in clues if c != clue], 3, 3)) > 1
                for clue in clues
            )
            assert needed == len(clues) if not spare else needed <= len(clues) - 2


def test_puzzles_are_distinct_up_to_value_names():
    """With two attributes there are few puzzles: repeats would be frequent."""
    source = source_of("zebra_tiny", attributes=2)
    source["sizes"] = {"train": 900, "validation": 50, "test": 50}
    seen = set()
    for split in zebra.records(source).values():
        for prompt, target in zip(split["prompt"], split["target"], strict=True):
            place = in_houses(target, 2)
            seen.add(
                frozenset(
                    tuple(f"{w[0]}{place[w]}" if w in place else w for w in clue)
                    for clue in parse(prompt)
                )
            )
    assert len(seen) == 1000


def test_too_many_puzzles_are_refused(monkeypatch):
    monkeypatch.setattr("xlmgen.tasks.draws.PATIENCE", 1)
    source = source_of("zebra_tiny", attributes=1, kinds=["at"], houses=2)
    source["sizes"] = {"train": 50, "validation": 1, "test": 1}
    with pytest.raises(UserError, match=r"asks for 52 different puzzles, and only 2 "):
        zebra.records(source)


def test_is_solution_agrees_with_the_definition_on_every_arrangement():
    prompt = "just_left a0 b1 ends a2 differ a1 b0 left b1 b2 at a0 0"
    clues, good = parse(prompt), 0
    for first, second in product(permutations(range(3)), repeat=2):
        place = {f"a{n}": house for n, house in enumerate(first)}
        place |= {f"b{n}": house for n, house in enumerate(second)}
        order = sorted(place, key=lambda value: (place[value], value))
        truth = all(holds(clue, place, 3) for clue in clues)
        assert zebra.is_solution(prompt.split(), order, 3, 2) == truth
        good += truth
    assert good == 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_clue_has_its_documented_meaning(kind):
    houses = 4
    for where in product(range(houses), repeat=KINDS[kind]):
        place = {f"a{i}": house for i, house in enumerate(where)}
        truth = holds((kind, *place), place, houses)
        rest = [0] * (3 - len(where))
        assert zebra.RULES[kind](*where, *rest, houses - 1) == truth


def test_answers_that_are_not_arrangements_score_zero():
    source = {"houses": 2, "attributes": 2}
    prompt = ("at", "a0", "0")
    good = "a0 b1 a1 b0"
    answers = {
        good: 1,
        "a0 b0 a1 b1": 1,  # no clue excludes anything
        "a1 b1 a0 b0": 0,
        "b1 a0 b0 a1": 0,  # the attributes in another order
        "a0 b1 b0 a1": 0,
        "a0 b1 a1": 0,
        f"{good} b0": 0,
        "a0 b1 a1 b1": 0,
        "a0 b1 a1 [CLS]": 0,
        "a0 b1 a1 b2": 0,
        "": 0,
    }
    for answer, score in answers.items():
        row = Answered(source, tuple(answer.split()), prompt, tuple(good.split()))
        assert zebra.solved_zebra(row) == score, answer


@pytest.mark.parametrize(
    ("changes", "place", "message"),
    [
        ({"kinds": ["at", "above"]}, "source.kinds[1]", "above"),
        ({"kinds": ["same"], "attributes": 1}, "source.kinds", "there is one"),
        ({"clues": 13}, "max_length.prompt", "at least 53"),
        ({"houses": 5}, "tokenizer.tokens", "no token for '4'"),
    ],
)
def test_impossible_settings_are_refused(refused, changes, place, message):
    told = refused("zebra", changes)
    assert any(place == where and message in text for where, text in told), told
