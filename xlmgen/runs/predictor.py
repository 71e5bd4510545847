"""A family's predictor with the numbers of one run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from xlmgen.errors import UserError
from xlmgen.runtime.family import Family
from xlmgen.runtime.special_tokens import SpecialTokens
from xlmgen.spec.messages import did_you_mean


def build_predictor(
    family: Family, tokens: SpecialTokens, numbers: Mapping[str, Any]
) -> Any:
    """The predictor with some of its numbers changed.

    Raises:
        UserError: it has no such number, or the value cannot be.
    """
    known = predictor_numbers(family)
    for name in numbers:
        if name not in known:
            guess = did_you_mean(name, known)
            raise UserError(
                f"predictor.{name}: the predictor of {family.name} has no such number",
                f"{guess} it has {', '.join(known)}".strip(),
            )
    try:
        return family.predictor(tokens, **numbers)
    except ValueError as error:
        raise UserError(f"predictor: {error}", "change the value") from error


def predictor_numbers(family: Family) -> list[str]:
    """The options of the predictor that are settings and not rendered code."""
    return list(inspect.signature(family.predictor).parameters)[1:]
