"""Build the predictor of a family with the options of a run."""

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
    """Build the predictor with changed numeric options.

    Raises:
        UserError: it has no such option, or the value is invalid.
    """
    known = predictor_numbers(family)
    for name in numbers:
        if name not in known:
            guess = did_you_mean(name, known)
            raise UserError(
                f"predictor.{name}: the predictor of {family.name} has no such option",
                f"{guess} it has {', '.join(known)}".strip(),
            )
    try:
        return family.predictor(tokens, **numbers)
    except ValueError as error:
        raise UserError(f"predictor: {error}", "change the value") from error


def predictor_numbers(family: Family) -> list[str]:
    """Options that are arguments of the predictor, not rendered code."""
    return list(inspect.signature(family.predictor).parameters)[1:]
