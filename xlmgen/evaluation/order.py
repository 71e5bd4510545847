"""Order in which the tokens of an answer were written."""

from __future__ import annotations

from xlmgen.runtime.generation import Generation


def written_order(generation: Generation, row: int, eos: int) -> list[tuple[int, int]]:
    """Tokens of a row's answer, up to and including its EOS, in reading order.

    Args:
        generation: with a trace.
        row: index of the row.
        eos: the id that ends an answer.

    Returns:
        Pairs of an id and the step that wrote it last, counted from 1.
    """
    steps = written_steps(generation, row)
    ids, generated = generation.ids[row].tolist(), generation.generated[row].tolist()
    found = []
    for position, (token, new) in enumerate(zip(ids, generated, strict=True)):
        if new:
            found.append((token, steps[position]))
            if token == eos:
                break
    return found


def written_steps(generation: Generation, row: int) -> dict[int, int]:
    """The step that wrote each position of a row last, counted from 1."""
    trace = generation.trace
    assert trace is not None
    here = trace.row == row
    events = zip(trace.step[here].tolist(), trace.position[here].tolist(), strict=True)
    return {position: step + 1 for step, position in events}
