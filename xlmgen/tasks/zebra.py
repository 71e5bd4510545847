"""Zebra puzzles: clues about who lives where, with a unique arrangement in the houses.

Clues that are true of one arrangement are drawn at random and then removed while the
arrangement stays unique; the values are renamed at random. Puzzles that differ only by
the names of an attribute's values count as equal.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from xlmgen.spec.generators.zebra import KINDS, value_names
from xlmgen.tasks import draws, search
from xlmgen.tasks.answered import Answered

# Puzzles drawn at once, first and most, and random clues drawn of each kind; the rows
# of a seed depend on both.
CHUNKS = (256, 2048)
TRIES = 48

RULES: Mapping[str, Callable[..., bool]] = {
    "at": lambda a, b, c, last: a == b,
    "ends": lambda a, b, c, last: a in (0, last),
    "same": lambda a, b, c, last: a == b,
    "differ": lambda a, b, c, last: a != b,
    "next": lambda a, b, c, last: abs(a - b) == 1,
    "left": lambda a, b, c, last: a < b,
    "just_left": lambda a, b, c, last: b - a == 1,
    "between": lambda a, b, c, last: b < a < c or c < a < b,
}
"""Whether a clue holds, by the houses of its operands and the index of the last."""

SYMMETRIC = ("same", "differ", "next")  # kinds whose operands may be swapped


@dataclass(frozen=True)
class Street:
    """Variables and rules of a puzzle: a mask of the possible houses of each value.

    The variables of attribute k are `k * houses` to `(k + 1) * houses - 1`. Further
    variables stand for fixed houses in clues, and the last one for no operand.

    Args:
        houses: number of houses, and of values of each attribute.
        attributes: number of attributes.
    """

    houses: int
    attributes: int

    @property
    def values(self) -> int:
        return self.houses * self.attributes

    @property
    def full(self) -> np.uint16:
        """Mask of a value that may be in any house."""
        return np.uint16(2**self.houses - 1)

    @property
    def nothing(self) -> int:
        return self.values + self.houses

    @cached_property
    def constants(self) -> search.Masks:
        """(houses + 1, 1) masks of the fixed houses and of no operand."""
        masks = [1 << house for house in range(self.houses)]
        return np.array([*masks, self.full], dtype=np.uint16)[:, None]

    @cached_property
    def supports(self) -> draws.Ints:
        """(3, (kinds + 1) * masks * masks) possible houses of each of a clue's three
        operands, by the masks of the other two. The last kind stands for no clue."""
        masks = np.arange(2**self.houses)
        has = (masks[:, None] >> np.arange(self.houses)) & 1 == 1  # (masks, houses)
        found = np.full((3, len(KINDS) + 1, len(masks), len(masks)), len(masks) - 1)
        found[:, :-1] = 0
        last = self.houses - 1
        for kind, rule in enumerate(KINDS):
            for houses in product(range(self.houses), repeat=3):
                if RULES[rule](*houses, last):
                    for operand in range(3):
                        first, second = (houses[i] for i in range(3) if i != operand)
                        both = has[:, first, None] & has[None, :, second]
                        found[operand, kind][both] |= 1 << houses[operand]
        return found.reshape(3, -1)

    def narrow(
        self, states: search.Masks, kinds: draws.Ints, named: draws.Ints
    ) -> search.Masks:
        """One round of propagation: houses that a clue forbids or another value has.

        Args:
            states: (values, N) masks.
            kinds: (K, N) kinds of clues; `len(KINDS)` for no clue.
            named: (K, 3, N) variables of their operands.
        """
        count, bits = states.shape[1], self.houses
        constants = np.broadcast_to(self.constants, (len(self.constants), count))
        houses = np.concatenate([states, constants])
        flat = houses.reshape(-1)  # a view; flat indices are faster
        first_of, second_of, third_of = self.supports
        for kind, names in zip(kinds << 2 * bits, named, strict=True):
            # the operands of a clue are three different variables
            index = names * count + np.arange(count)
            a, b, c = np.take(flat, index).astype(np.int64)
            a &= np.take(first_of, kind | b << bits | c)
            b &= np.take(second_of, kind | a << bits | c)
            c &= np.take(third_of, kind | a << bits | b)
            flat[index] = a, b, c
        return self._different(houses[: self.values])

    def _different(self, states: search.Masks) -> search.Masks:
        """Propagate that each house has exactly one value of each attribute."""
        masks = states.reshape(self.attributes, self.houses, -1)
        single = (masks & (masks - 1)) == 0
        taken, twice_taken = _seen(np.where(single, masks, np.uint16(0)))
        anywhere, twice = _seen(masks)
        wrong = ((twice_taken != 0) | (anywhere != self.full)).any(axis=0)
        only = masks & (anywhere & ~twice)[:, None]
        narrowed = np.where(single, masks, masks & ~taken[:, None])
        narrowed = np.where(only != 0, narrowed & only, narrowed)
        narrowed[:, :, wrong] = 0
        return narrowed.reshape(states.shape)


def records(source: Mapping[str, Any]) -> dict[str, dict[str, list[str]]]:
    """Generate every split of `source:` as texts: split → column → one text per row."""
    street = Street(source["houses"], source["attributes"])
    stream = draws.Draws(source["seed"])
    counts = draws.growing(*CHUNKS)
    return draws.splits(
        lambda: _draw(street, source, next(counts), stream),
        source["sizes"],
        "puzzles",
        "ask for fewer, or allow more clues or kinds of clues",
    )


def is_solution(
    prompt: Sequence[str], answer: Sequence[str], houses: int, attributes: int
) -> bool:
    """Whether an answer is an arrangement that meets all clues of a prompt.

    Args:
        prompt: clues, each a kind and its operands.
        answer: the values of every house, in the order of the attributes.
        houses, attributes: how many there are.
    """
    names = value_names(houses, attributes)
    if sorted(answer) != sorted(names):
        return False
    place = {value: number // attributes for number, value in enumerate(answer)}
    letters = [value[0] for value in answer]
    if (
        letters != letters[:attributes] * houses
        or letters
        != [names[attribute * houses][0] for attribute in range(attributes)] * houses
    ):
        return False
    place |= {str(house): house for house in range(houses)}
    return all(
        RULES[kind](
            *(place[word] for word in named), *[0] * (3 - len(named)), houses - 1
        )
        for kind, *named in clues(prompt)
    )


def clues(prompt: Sequence[str]) -> Iterator[list[str]]:
    """Clues of a prompt: each a kind and its operands."""
    start = 0
    while start < len(prompt):
        stop = start + 1 + KINDS[prompt[start]]
        yield list(prompt[start:stop])
        start = stop


def solved_zebra(row: Answered) -> float:
    source = row.source
    return float(
        is_solution(row.prompt, row.answer, source["houses"], source["attributes"])
    )


def _draw(
    street: Street, source: Mapping[str, Any], count: int, stream: draws.Draws
) -> Iterator[tuple[object, list[draws.Row]]]:
    """Draw puzzles, each with a key that equal puzzles share."""
    kinds, named = _true_clues(street, source["kinds"], count, stream)
    slots = len(kinds)
    order = stream.shuffled(count, slots).T
    shown = stream.shuffled(count, slots)
    renamed = stream.shuffled(count * street.attributes, street.houses)
    renamed = renamed.reshape(count, street.attributes, street.houses)
    exists = kinds < len(KINDS)

    def is_unique(kept: search.Flags, which: draws.Ints) -> search.Flags:
        # remaining clues first, in no more slots than the longest puzzle needs
        rank = np.argsort(~kept, axis=0, kind="stable")
        rank = rank[: int(kept.sum(axis=0).max(initial=0))]
        some = np.where(kept, kinds[:, which], len(KINDS))
        some = np.take_along_axis(some, rank, axis=0)
        names = np.take_along_axis(named[:, :, which], rank[:, None], axis=0)

        def narrow(states: search.Masks, problem: draws.Ints) -> search.Masks:
            return street.narrow(states, some[:, problem], names[:, :, problem])

        return search.unique(np.full((street.values, len(which)), street.full), narrow)

    good = np.flatnonzero(is_unique(exists, np.arange(count)))
    kept = search.thin(
        exists[:, good],
        order[:, good],
        np.zeros(len(good), dtype=np.int64),
        lambda left, which: is_unique(left, good[which]),
    )
    for column, row in enumerate(good.tolist()):
        needed = np.flatnonzero(kept[:, column]).tolist()
        spare = [s for s in order[::-1, row].tolist() if exists[s, row]]
        spare = [slot for slot in spare if slot not in needed][: source["spare"]]
        slots_used = {*needed, *spare}
        if len(slots_used) > source["clues"] or len(spare) < source["spare"]:
            continue
        facts = [
            (int(kinds[slot, row]), *named[slot, :, row].tolist())
            for slot in shown[row].tolist()
            if slot in slots_used
        ]
        yield tuple(sorted(facts)), [_row(street, facts, renamed[row].tolist())]


def _row(
    street: Street, facts: Sequence[tuple[int, ...]], renamed: Sequence[Sequence[int]]
) -> draws.Row:
    """A puzzle in words, with its values renamed at random."""
    names = value_names(street.houses, street.attributes)
    words = [
        names[attribute * street.houses + name]
        for attribute, new in enumerate(renamed)
        for name in new
    ]
    kinds = list(KINDS)
    known = [*words, *map(str, range(street.houses))]
    prompt = [
        word
        for kind, *named in facts
        for word in (kinds[kind], *(known[v] for v in named if v != street.nothing))
    ]
    answer = [
        words[attribute * street.houses + house]
        for house in range(street.houses)
        for attribute in range(street.attributes)
    ]
    return {"prompt": " ".join(prompt), "target": " ".join(answer)}


def _true_clues(
    street: Street, allowed: Sequence[str], count: int, stream: draws.Draws
) -> tuple[draws.Ints, draws.Ints]:
    """Draw clues that are true of the arrangement in which value i is in house i.

    Returns:
        (K, N) kinds, with `len(KINDS)` for no clue, and (K, 3, N) their operands.
    """
    each = max(3, 2 * street.values // len(allowed))  # most clues of a kind
    names = list(KINDS)
    kinds, named = [], []
    for kind in allowed:
        shape = (TRIES, count)
        variables = [stream.below(np.full(shape, street.values)) for _ in range(3)]
        if kind == "at":
            variables[1] = variables[0] % street.houses + street.values
        if kind in SYMMETRIC:
            variables[:2] = [np.minimum(*variables[:2]), np.maximum(*variables[:2])]
        if kind == "between":
            variables[1:] = [np.minimum(*variables[1:]), np.maximum(*variables[1:])]
        for operand in range(KINDS[kind], 3):
            variables[operand] = np.full(shape, street.nothing)
        clue = np.stack(variables, axis=1)  # (TRIES, 3, N)
        true = _is_true(street, kind, clue)
        first = np.argsort(~true, axis=0, kind="stable")[:each]
        true = np.take_along_axis(true, first, axis=0)
        clue = np.take_along_axis(clue, first[:, None], axis=0)
        for number in range(1, len(clue)):
            repeated = (clue[:number] == clue[number]).all(axis=1).any(axis=0)
            true[number] &= ~repeated
        kinds.append(np.where(true, names.index(kind), len(KINDS)))
        named.append(clue)
    return np.concatenate(kinds), np.concatenate(named)


def _is_true(street: Street, kind: str, clue: draws.Ints) -> search.Flags:
    """(TRIES, N) whether clues hold and are not trivial."""
    house = np.where(
        clue < street.values, clue % street.houses, np.maximum(clue - street.values, 0)
    )
    house = np.where(clue == street.nothing, 0, house)
    table = np.zeros((street.houses,) * 3, dtype=np.bool_)
    for houses in product(range(street.houses), repeat=3):
        table[houses] = RULES[kind](*houses, street.houses - 1)
    true = table[house[:, 0], house[:, 1], house[:, 2]]
    if kind in (
        "same",
        "differ",
    ):  # trivial within an attribute, whose values always differ
        attribute = clue // street.houses
        true &= attribute[:, 0] != attribute[:, 1]
    return true


def _seen(masks: search.Masks) -> tuple[search.Masks, search.Masks]:
    """Houses possible for one or more values of each attribute, and for two or more."""
    once = np.zeros((len(masks), masks.shape[2]), dtype=np.uint16)
    twice = once.copy()
    for value in range(masks.shape[1]):
        twice |= once & masks[:, value]
        once |= masks[:, value]
    return once, twice
