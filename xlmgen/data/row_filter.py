"""Filter of the rows of a source, by conditions on their columns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from xlmgen.spec.messages import show

EXACT = 2**53
"""Every integer below it is exact as a float."""


class NotANumber(ValueError):
    """`min` or `max` was applied to a value that is not a number."""


class RowFilter:
    """The conditions of a `filter:`; a row must meet all of them.

    Args:
        conditions: the items of the list, defaults filled in.
    """

    def __init__(self, conditions: Sequence[Mapping[str, Any]]) -> None:
        self.conditions = [
            (condition["column"], _Condition(condition)) for condition in conditions
        ]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the conditions, each once."""
        return tuple(dict.fromkeys(column for column, _ in self.conditions))

    def keeps(self, cells: Mapping[str, Any]) -> bool:
        """Whether a row with these cells meets all conditions.

        Raises:
            NotANumber: `min` or `max` was applied to a value that is not a number.
        """
        return all(met(cells[column]) for column, met in self.conditions)


class _Condition:
    """Condition on the value of one column."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.column = options["column"]
        self.among = _written_all(options.get("in"))
        self.not_among = _written_all(options.get("not_in"))
        self.low, self.high = options.get("min"), options.get("max")
        self.shortest = options.get("min_length", 0)
        self.longest = options.get("max_length")
        self.pattern = re.compile(options["matches"]) if "matches" in options else None

    def __call__(self, value: Any) -> bool:
        text = written(value)
        return (
            (self.among is None or text in self.among)
            and (self.not_among is None or text not in self.not_among)
            and self._between(value)
            and len(text) >= self.shortest
            and (self.longest is None or len(text) <= self.longest)
            and (self.pattern is None or self.pattern.search(text) is not None)
        )

    def _between(self, value: Any) -> bool:
        if self.low is None and self.high is None:
            return True
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise NotANumber(f"column '{self.column}' holds {show(value)}") from None
        return (self.low is None or number >= self.low) and (
            self.high is None or number <= self.high
        )


def written(value: Any) -> str:
    """A value as text: strings unchanged, null empty, all others as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        value = int(value)  # 1.0 and 1 are the same number
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def _written_all(values: Sequence[Any] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(map(written, values))
