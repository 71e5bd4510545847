"""JSON Schema 2020-12 with strict integers and patterns, and three more keywords.

* `x-visible: true`: a string has no invisible characters except spaces and line breaks.
  A `pattern` beside it covers most of them for editors.
* `x-sum: n`: the numbers of a mapping, with defaults, add up to n.
* `x-ascending`: numbers increase, those of a list (`true`) or of the named keys of a
  mapping (`[low, high]`).

Other validators ignore keywords that start with `x-`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from math import isclose
from typing import Any, TypeGuard
from unicodedata import category

from xlmgen.io.patterns import strict

Schema = dict[str, Any]
# Unicode's categories of controls, formats and separators; surrogates and private use.
INVISIBLE = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp", "Zs"})
JOINERS = "\u200c\u200d"  # format characters that some scripts need in words

OURS = frozenset(
    """
    x-provides x-requires x-refuses x-batch x-prompt x-output x-likelihood x-tests
    x-checkpoint x-form x-message x-absent x-sum x-ascending x-visible x-layout
    x-metrics
    """.split()  # noqa: SIM905
)
"""The keywords of kinds and generators; docs/spec.md explains them."""
_NOTES = frozenset(
    """
    $schema $id $anchor $dynamicAnchor $defs $comment $vocabulary title description
    default examples deprecated readOnly writeOnly contentEncoding contentMediaType
    contentSchema then else minContains maxContains
    """.split()  # noqa: SIM905
)
"""Keywords of JSON Schema without a check of their own."""
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs")
_DATA = ("const", "default", "enum", "examples", "required", "type")


def validator(schema: Schema) -> Any:
    """Return a validator for a schema: `iter_errors(value)` and `is_valid(value)`."""
    return _class()(schema)


@cache
def _class() -> Any:
    from jsonschema import Draft202012Validator, validators

    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer)
    keywords = {
        "pattern": _pattern,
        "uniqueItems": _unique_items,
        "x-visible": _visible,
        "x-sum": _sum,
        "x-ascending": _ascending,
    }
    extend: Any = validators.extend
    return extend(Draft202012Validator, keywords, type_checker=types)


def is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(_: Any, value: object) -> bool:
    """Reject 2.0 as an integer, because it would be rendered as a float."""
    return isinstance(value, int) and not isinstance(value, bool)


def _pattern(_: Any, pattern: str, value: Any, __: Schema) -> Iterator[Any]:
    """Check the standard keyword; `$` does not match before a final line break."""
    from jsonschema import ValidationError

    if isinstance(value, str) and not strict(pattern).search(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _unique_items(_: Any, wanted: bool, value: Any, __: Schema) -> Iterator[Any]:
    """Check the standard keyword in linear time."""
    from jsonschema import ValidationError

    if not wanted or not isinstance(value, list):
        return
    # numbers are equal by value, but not to true or false
    texts = [json.dumps(_plain_numbers(item), sort_keys=True) for item in value]
    if len(set(texts)) < len(texts):
        yield ValidationError(f"{value!r} has an item twice")


def _plain_numbers(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain_numbers(item) for key, item in value.items()}
    return value


def _visible(_: Any, wanted: bool, value: Any, __: Schema) -> Iterator[Any]:
    from jsonschema import ValidationError

    if wanted and isinstance(value, str) and any(map(_is_invisible, value)):
        yield ValidationError(f"{value!r} holds an invisible character")


def _is_invisible(character: str) -> bool:
    return character not in f" \n{JOINERS}" and category(character) in INVISIBLE


def _sum(_: Any, total: float, value: Any, schema: Schema) -> Iterator[Any]:
    from jsonschema import ValidationError

    if not isinstance(value, dict):
        return
    known = schema["properties"]
    numbers = [value.get(key, sub.get("default")) for key, sub in known.items()]
    if not all(is_number(number) for number in numbers):
        return  # `type` reports it
    if not isclose(sum(numbers), total, abs_tol=1e-6):
        assumed = [f"{k} {s['default']}" for k, s in known.items() if k not in value]
        note = f" ({', '.join(assumed)} by default)" if assumed else ""
        yield ValidationError(f"adds up to {sum(numbers):g}, not to {total:g}{note}")


def _ascending(
    _: Any, names: bool | list[str], value: Any, __: Schema
) -> Iterator[Any]:
    from jsonschema import ValidationError

    if isinstance(names, list) and isinstance(value, dict):
        items: list[tuple[str, Any]] = [(f"{name} ", value.get(name)) for name in names]
    elif names is True and isinstance(value, list):
        items = [("", number) for number in value]
    else:
        return
    for (low_name, low), (high_name, high) in pairwise(items):
        if is_number(low) and is_number(high) and low >= high:
            yield ValidationError(f"{low_name}{low:g} is not below {high_name}{high:g}")


@cache
def known_keywords() -> frozenset[str]:
    """Return all keywords that a schema may have."""
    from jsonschema import Draft202012Validator as Draft

    return frozenset(Draft.VALIDATORS) | _NOTES | OURS


def unknown_keywords(
    schema: Any, place: tuple[str | int, ...] = ()
) -> Iterator[tuple[str | int, ...]]:
    """Yield the paths of unknown keywords in a schema; validators ignore them."""
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        inner = (*place, key)
        if key not in known_keywords():
            yield inner
        elif key in _NAMED and isinstance(value, dict):
            for name, part in value.items():
                yield from unknown_keywords(part, (*inner, name))
        elif key in OURS and isinstance(value, list):
            for number, entry in enumerate(value):
                when = entry.get("when") if isinstance(entry, dict) else None
                yield from unknown_keywords(when, (*inner, number, "when"))
        elif isinstance(value, list) and key not in _DATA:
            for number, part in enumerate(value):
                yield from unknown_keywords(part, (*inner, number))
        elif key not in _DATA and key not in OURS:
            yield from unknown_keywords(value, inner)
