"""Check tensors against the types that a family declares."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

from torch import Tensor


def check_fields(values: Mapping[str, Any], declared: type) -> dict[str, int]:
    """Check every field against its annotation; each letter must have one size.

    Args:
        values: a batch or an output.
        declared: a TypedDict whose fields are jaxtyping annotations, unions of them,
            `… | None` or plain types.

    Returns:
        the size of every letter.
    """
    hints = get_type_hints(declared)
    assert set(values) == set(hints), "fields differ from the declared ones"
    sizes: dict[str, int] = {}
    for name, hint in hints.items():
        options = get_args(hint) if get_origin(hint) is types.UnionType else (hint,)
        if values[name] is None:
            assert type(None) in options, f"{name} is None"
            continue
        *others, wanted = (option for option in options if option is not type(None))
        for option in others:
            if isinstance(values[name], option):
                wanted = option
        _check_field(name, values[name], wanted, sizes)
    return sizes


def _check_field(name: str, value: Any, wanted: Any, sizes: dict[str, int]) -> None:
    letters = getattr(wanted, "dim_str", None)
    if letters is None:
        assert isinstance(value, wanted), f"{name} is a {type(value).__name__}"
        return
    assert isinstance(value, Tensor), f"{name} is not a tensor"
    # jaxtyping's instance check covers dtype and rank; sizes are compared here,
    # across all fields.
    assert isinstance(value, wanted), f"{name} is {value.dtype} {tuple(value.shape)}"
    for letter, size in zip(letters.split(), value.shape, strict=True):
        known = sizes.setdefault(letter, size)
        assert known == size, f"{name} has {letter} = {size}, not {known}"
