"""Format values, types and ranges in messages, and suggest corrections."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LONGEST = 60
CHECK_PATH = "check the path"
# A correction is certain if its similarity is at least ALIKE, and that of every other
# candidate lower by at least APART.
ALIKE, APART = 0.8, 0.1

TYPES = {
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


def show(value: Any) -> str:
    """Format a value as in YAML, shortened if it is long."""
    if isinstance(value, str):
        text = f"'{value}'" if value.isprintable() else repr(value)
    elif isinstance(value, dict | list):
        text = json.dumps(value, ensure_ascii=False, default=str)
    else:
        text = json.dumps(value, default=str)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def flow(value: Any) -> str:
    """Format a mapping or a list as YAML on one line."""
    import yaml

    text: str = yaml.safe_dump(
        value, default_flow_style=True, sort_keys=False, width=2**31
    )
    return text.strip()


def type_of(value: Any) -> str:
    """Name the type of a value."""
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else "a mapping"


def either(words: Iterable[str]) -> str:
    """Join words: `a, b or c`."""
    *head, last = words
    return f"{', '.join(head)} or {last}" if head else last


def types(names: str | list[str]) -> str:
    return either(TYPES[n] for n in ([names] if isinstance(names, str) else names))


def interval(schema: dict[str, Any]) -> str:
    """Format the range of a number's schema, such as `> 0 and ≤ 1`; may be empty."""
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
    }
    return " and ".join(
        f"{sign} {schema[key]:g}"
        if isinstance(schema[key], float)
        else f"{sign} {schema[key]}"
        for key, sign in signs.items()
        if key in schema
    )


def expected(schema: dict[str, Any]) -> str:
    """Describe the values that a schema allows: `a number > 0 and ≤ 1`."""
    if "const" in schema:
        return show(schema["const"])
    if "enum" in schema:
        return either(show(value) for value in schema["enum"])
    branches = schema.get("oneOf") or schema.get("anyOf")
    if branches:
        return either(expected(branch) for branch in branches)
    kind = schema.get("type", [])
    if kind == "object" and schema.get("properties"):
        keys = ", ".join(schema["properties"])
        return f"a mapping with {keys}"
    words = types(kind) if kind else "a value"
    limits = interval(schema)
    if limits and isinstance(kind, list) and "null" in kind:
        numeric = types([name for name in kind if name != "null"])
        return f"{numeric} {limits}, or null"
    return f"{words} {limits}".rstrip()


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Find the known word, other than the word itself, that was most likely meant.

    Abbreviations take precedence: `lr` and `learn_rate` mean `learning_rate`.

    Args:
        cutoff: minimum similarity, from 0 to 1 (equal).
    """
    from difflib import get_close_matches

    plain = _plain(word)[:LONGEST]
    by_plain = {_plain(choice): choice for choice in known if choice != word}
    if plain in by_plain:
        return by_plain[plain]
    for is_short_for in (_is_initials, _is_some_words, _is_cut, _is_some_cut):
        full = [choice for choice in by_plain if is_short_for(plain, choice)]
        if len(full) == 1:
            return by_plain[full[0]]
    match = get_close_matches(plain, by_plain, n=1, cutoff=cutoff)
    return by_plain[match[0]] if match else None


def _is_initials(short: str, full: str) -> bool:
    """Whether a word consists of a key's initials: `lr` of `learning_rate`."""
    return len(short) > 1 and short == "".join(word[:1] for word in full.split("_"))


def _is_some_words(short: str, full: str) -> bool:
    """Whether a word omits words of a key: `batch` of `batch_size`."""
    rest = iter(full.split("_"))
    return len(short) > 2 and all(word in rest for word in short.split("_"))


def _is_cut(short: str, full: str) -> bool:
    """Whether a word abbreviates words of a key: `val_every` of `validate_every`."""
    pairs = list(zip(short.split("_"), full.split("_"), strict=False))
    same_count = short.count("_") == full.count("_")
    return same_count and all(b.startswith(a) and len(a) > 1 for a, b in pairs)


def _is_some_cut(short: str, full: str) -> bool:
    """Whether a word omits and cuts words of a key: `samp` of `bound_samples`."""
    rest = iter(full.split("_"))
    return all(
        len(part) > 2 and any(word.startswith(part) for word in rest)
        for part in short.split("_")
    )


def certain(word: Any, known: Iterable[Any]) -> str:
    """Find the known word that a misspelt one certainly means; else return "".

    It differs in case and dashes only, or is much more similar than all others.
    """
    if not isinstance(word, str):
        return ""
    choices = [choice for choice in known if isinstance(choice, str)]
    same = [choice for choice in choices if _plain(choice) == _plain(word)]
    if same:
        return same[0] if len(same) == 1 else ""
    from difflib import SequenceMatcher

    likeness = sorted(
        (SequenceMatcher(None, _plain(word)[:80], _plain(choice)).ratio(), choice)
        for choice in choices
    )
    *others, (best, choice) = likeness or [(0.0, "")]
    second = others[-1][0] if others else 0.0
    return choice if best >= ALIKE and best - second >= APART else ""


def _plain(word: str) -> str:
    return word.lower().replace("-", "_").replace(" ", "_")


def did_you_mean(word: Any, known: Iterable[Any]) -> str:
    """Return `did you mean 'x'?`, or "" if no known word is similar."""
    if not isinstance(word, str):
        return ""
    match = closest(word, (k for k in known if isinstance(k, str)))
    return f"did you mean '{match}'?" if match else ""


def similar_path(path: Path, *, folder: bool = False) -> str:
    """Return `did you mean 'x'?` for an existing path, else advice to check the path.

    Args:
        folder: suggest folders only.
    """
    for part in (path, *path.parents):
        if part.parent.is_dir():
            try:
                inside = sorted(
                    entry.name
                    for entry in part.parent.iterdir()
                    if not folder or entry.is_dir()
                )
            except OSError:
                break
            match = closest(part.name, inside)
            return f"did you mean '{part.parent / match}'?" if match else CHECK_PATH
    return CHECK_PATH
