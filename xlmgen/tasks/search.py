"""Vectorised search for unique solutions of many small constraint problems.

A state is a column of bit masks, one per variable: the values that the variable may
still have. Thousands of states are narrowed together by a few array operations. A state
that narrowing does not decide is branched in two, and so on until every problem has two
solutions or no states left.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from xlmgen.tasks.draws import Draws, Ints

Masks = npt.NDArray[np.uint16]
"""(variables, states)."""
Flags = npt.NDArray[np.bool_]

Narrow = Callable[[Masks, Ints], Masks]
"""One round of constraint propagation on states, given the problem index of each: masks
lose impossible values, and are 0 where the state has no solution."""

STATES = 4096  # narrowed at once; they fit in the CPU cache


def settle(states: Masks, problem: Ints, narrow: Narrow) -> Masks:
    """Narrow every state to a fixed point."""
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
        narrow: the rules. They must refuse every wrong state in which each variable has
            one value left.
    """
    solutions = np.zeros(states.shape[1], dtype=np.int64)
    problem = np.arange(states.shape[1])
    while states.shape[1]:
        # Depth first, so that the list of states stays short.
        newest = settle(states[:, -STATES:], problem[-STATES:], narrow)
        owner = problem[-STATES:]
        states, problem = states[:, :-STATES], problem[:-STATES]
        possible = newest[0] != 0
        newest, owner = newest[:, possible], owner[possible]
        solved = ((newest & (newest - 1)) == 0).all(axis=0)
        np.add.at(solutions, owner[solved], 1)
        first, second = _branch(newest[:, ~solved])
        states = np.concatenate([states, second, first], axis=1)
        problem = np.concatenate([problem, owner[~solved], owner[~solved]])
        open_ = solutions[problem] < 2
        states, problem = states[:, open_], problem[open_]
    return solutions == 1


def random_solutions(
    states: Masks, narrow: Narrow, stream: Draws
) -> tuple[Masks, Flags]:
    """Assign random values until every state is solved or impossible.

    Returns:
        The states, and (N,) whether each is a solution.
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
    """Remove items from problems while each keeps a unique solution.

    Items are removed in groups, which are halved on failure. Nothing is missed: an item
    that is needed now is needed after further removals too.

    Args:
        kept: (I, N) the items of each of N problems.
        order: (I, N) the items in the order of trial.
        target: (N,) number of items to keep, where that is possible.
        is_unique: whether each of the problems with the given indices has a unique
            solution with the given items.

    Returns:
        (I, N) the remaining items: no other can be removed, or the target is met.
    """
    kept = kept.copy()
    items, count = kept.shape
    position = np.zeros(count, dtype=np.int64)  # in `order`, of the first untried item
    group = np.full(count, items // 4)
    rank = np.argsort(order, axis=0, kind="stable")  # position of each item in `order`
    while True:
        group = np.minimum(group, kept.sum(axis=0) - target)
        open_ = np.flatnonzero((group > 0) & (position < items))
        if not len(open_):
            return kept
        end = position[open_] + group[open_]
        tried = (rank[:, open_] >= position[open_]) & (rank[:, open_] < end)
        left = kept[:, open_] & ~tried
        good = is_unique(left, open_)
        kept[:, open_[good]] = left[:, good]
        position[open_[good]] = end[good]
        single = ~good & (group[open_] == 1)
        position[open_[single]] += 1
        group[open_[~good]] = np.maximum(group[open_[~good]] // 2, 1)


def count_values(masks: Masks) -> Ints:
    """Number of set bits of every mask."""
    pairs = masks - ((masks >> 1) & 0x5555)
    fours = (pairs & 0x3333) + ((pairs >> 2) & 0x3333)
    eights = (fours + (fours >> 4)) & 0x0F0F
    return ((eights + (eights >> 8)) & 0x1F).astype(np.int64)


def _fewest(states: Masks) -> Ints:
    """(N,) the undecided variable of each state with the fewest values."""
    counts = count_values(states)
    return np.where(counts > 1, counts, 17).argmin(axis=0)


def _branch(states: Masks) -> tuple[Masks, Masks]:
    """Branch each state: a variable has its lowest value, or it has not."""
    columns = np.arange(states.shape[1])
    variable = _fewest(states)
    mask = states[variable, columns]
    first, second = states.copy(), states.copy()
    first[variable, columns] = mask & -mask
    second[variable, columns] = mask & (mask - 1)
    return first, second
