"""Many small constraint problems at once: which have exactly one solution.

A state is a column of bit masks, one for each variable: the values that it may still
have. All states are narrowed together, a few array operations for thousands of them;
those that narrowing does not settle are split in two, and so on until every problem has
two solutions or nothing left to try.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from xlmgen.tasks.draws import Draws, Ints

Masks = npt.NDArray[np.uint16]
"""(variables, states)."""
Flags = npt.NDArray[np.bool_]

Narrow = Callable[[Masks, Ints], Masks]
"""One round of the rules on states, given the number of the problem of each: masks
lose values that cannot be, and are 0 where a state cannot be at all."""

STATES = 4096  # narrowed at once: what fits in the processor's cache


def settle(states: Masks, problem: Ints, narrow: Narrow) -> Masks:
    """Narrow every state until nothing changes any more."""
    settled = states.copy()
    active = np.arange(states.shape[1])
    while len(active):
        before = settled[:, active]
        after = narrow(before, problem[active])
        after[:, (after == 0).any(axis=0)] = 0
        settled[:, active] = after
        active = active[(after != before).any(axis=0) & (after[0] != 0)]
    return settled


def unique(states: Masks, narrow: Narrow) -> Flags:
    """Whether each problem has exactly one solution; at least one must exist.

    Args:
        states: (V, N), one for each problem.
        narrow: the rules. They must refuse every wrong state that has one value left
            for every variable.
    """
    solutions = np.zeros(states.shape[1], dtype=np.int64)
    problem = np.arange(states.shape[1])
    while states.shape[1]:
        # The newest first, so that the list of states stays short.
        newest = settle(states[:, -STATES:], problem[-STATES:], narrow)
        of = problem[-STATES:]
        states, problem = states[:, :-STATES], problem[:-STATES]
        possible = newest[0] != 0
        newest, of = newest[:, possible], of[possible]
        solved = ((newest & (newest - 1)) == 0).all(axis=0)
        np.add.at(solutions, of[solved], 1)
        first, second = _branch(newest[:, ~solved])
        states = np.concatenate([states, second, first], axis=1)
        problem = np.concatenate([problem, of[~solved], of[~solved]])
        open_ = solutions[problem] < 2
        states, problem = states[:, open_], problem[open_]
    return solutions == 1


def random_solutions(
    states: Masks, narrow: Narrow, stream: Draws
) -> tuple[Masks, Flags]:
    """Settle states one random value after another; not all of them may come out.

    Returns:
        The states, and which of them are solutions.
    """
    problem = np.arange(states.shape[1])
    states = settle(states, problem, narrow)
    while True:
        open_ = np.flatnonzero(
            (states[0] != 0) & ((states & (states - 1)) != 0).any(axis=0)
        )
        if not len(open_):
            return states, states[0] != 0
        some = states[:, open_]
        variable = _fewest(some)
        columns = np.arange(len(open_))
        mask = some[variable, columns]
        skipped = stream.below(count_values(mask))
        for step in range(int(skipped.max(initial=0))):
            mask = np.where(step < skipped, mask & (mask - 1), mask)
        some[variable, columns] = mask & -mask
        states[:, open_] = settle(some, problem[open_], narrow)


def thin(
    kept: Flags,
    order: Ints,
    target: Ints,
    is_unique: Callable[[Flags, Ints], Flags],
) -> Flags:
    """Take items away from problems as long as each keeps its one solution.

    Items go in groups, which are halved where one is too much: an item that is needed
    once is needed for good, so that nothing is missed.

    Args:
        kept: (I, N) the items that each of N problems has.
        order: (I, N) the items in the order in which they are to be tried.
        target: (N,) how many to keep, where that can be.
        is_unique: which problems of the given numbers have one solution with these
            items.

    Returns:
        (I, N) what is left. Nothing more can go, or the target is met.
    """
    kept = kept.copy()
    items, count = kept.shape
    place = np.zeros(count, dtype=np.int64)  # in `order`, of the first not yet tried
    group = np.full(count, items // 4)
    where = np.argsort(order, axis=0, kind="stable")  # of each item in `order`
    while True:
        group = np.minimum(group, kept.sum(axis=0) - target)
        open_ = np.flatnonzero((group > 0) & (place < items))
        if not len(open_):
            return kept
        end = place[open_] + group[open_]
        tried = (where[:, open_] >= place[open_]) & (where[:, open_] < end)
        left = kept[:, open_] & ~tried
        good = is_unique(left, open_)
        kept[:, open_[good]] = left[:, good]
        place[open_[good]] = end[good]
        single = ~good & (group[open_] == 1)
        place[open_[single]] += 1
        group[open_[~good]] = np.maximum(group[open_[~good]] // 2, 1)


def count_values(masks: Masks) -> Ints:
    """The number of bits of every mask."""
    pairs = masks - ((masks >> 1) & 0x5555)
    fours = (pairs & 0x3333) + ((pairs >> 2) & 0x3333)
    eights = (fours + (fours >> 4)) & 0x0F0F
    return ((eights + (eights >> 8)) & 0x1F).astype(np.int64)


def _fewest(states: Masks) -> Ints:
    """In each state, the variable with the fewest values of those with several."""
    counts = count_values(states)
    return np.where(counts > 1, counts, 17).argmin(axis=0)


def _branch(states: Masks) -> tuple[Masks, Masks]:
    """Each state in which a variable has its lowest value, and has it not."""
    columns = np.arange(states.shape[1])
    variable = _fewest(states)
    mask = states[variable, columns]
    first, second = states.copy(), states.copy()
    first[variable, columns] = mask & -mask
    second[variable, columns] = mask & (mask - 1)
    return first, second
