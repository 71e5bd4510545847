"""What a task's YAML must meet that JSON Schema cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xlmgen.spec import generators
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.schemas import satisfies

ONE_TOKEN_PER_WORD = ("vocabulary", "whitespace")


def check(document: Document) -> Iterator[Diagnostic]:
    """Problems of a task's document; values of the wrong type are passed over."""
    data = document.data or {}
    source = data.get("source")
    if not isinstance(source, dict):
        return
    layout, name = data.get("layout"), source.get("generator")
    if name is None or name in generators.generators():
        yield from _metrics(document, data.get("metrics"), name)
    if name is not None:
        yield from _generator(document, name, source)
    elif source.get("format") == "txt" and layout in ("seq2seq", "infill"):
        yield document.diagnostic(
            "XG108",
            ("source", "format"),
            f"a .txt file has one text for each example, and '{layout}' needs two",
            "use jsonl, csv or parquet",
        )


def _metrics(document: Document, names: Any, generator: Any) -> Iterator[Diagnostic]:
    """Metrics that know the rules of other examples than these."""
    known = generators.metrics()
    for number, name in enumerate(names if isinstance(names, list) else ()):
        metric = known.get(name) if isinstance(name, str) else None
        if metric is None or metric.generator == generator:
            continue
        if generator is None and metric.files:
            continue
        title = str(generators.schema(metric.generator)["title"]).lower()
        yield document.diagnostic(
            "XG108", ("metrics", number), f"'{name}' goes with {title} only"
        )


def _generator(
    document: Document, name: Any, source: dict[str, Any]
) -> Iterator[Diagnostic]:
    if name not in generators.generators():
        return  # told by the schema
    data = document.data or {}
    schema, shape = generators.schema(name), generators.shape(name)
    layout, wanted = data.get("layout"), generators.layout(name)
    if layout in ("lm", "seq2seq", "infill") and layout != wanted:
        yield document.diagnostic(
            "XG108",
            ("layout",),
            f"the generator '{name}' makes examples of the layout {wanted}, not "
            f"{layout}",
            f"write layout: {wanted}",
        )
        return
    if not satisfies(schema, source):
        return  # told by the schema
    settings = fill_defaults(source, schema)
    wrong = list(shape.problems(document, settings))
    if wrong:
        yield from wrong
        return
    tokenizer = data.get("tokenizer")
    if not isinstance(tokenizer, dict):
        return
    yield from _vocabulary(document, tokenizer, shape.words(settings))
    if tokenizer.get("kind") in ONE_TOKEN_PER_WORD:
        yield from _block(document, shape.longest(settings))


def _vocabulary(
    document: Document, tokenizer: dict[str, Any], words: Iterable[str]
) -> Iterator[Diagnostic]:
    """A fixed vocabulary must have every word of the examples."""
    if tokenizer.get("kind") != "vocabulary":
        return
    needed = list(dict.fromkeys(words))
    if numbers := _count(tokenizer, "range"):
        key, have = "range", {str(number) for number in range(numbers)}
    elif isinstance(tokenizer.get("tokens"), list):
        key, have = "tokens", set(map(str, tokenizer["tokens"]))
    else:
        return
    missing = [word for word in needed if word not in have]
    if not missing:
        return
    if all(word.isdigit() for word in needed):
        fix = f"write range: {max(map(int, needed)) + 1}"
    else:
        fix = f"add {', '.join(missing)}"
    yield document.diagnostic(
        "XG105",
        ("tokenizer", key),
        f"there is no token for '{missing[0]}', which examples have",
        fix,
    )


def _block(document: Document, longest: Mapping[str, int]) -> Iterator[Diagnostic]:
    """The longest example must fit, unless those that do not are left out."""
    data = document.data or {}
    block = data.get("block")
    if not isinstance(block, dict) or data.get("overflow", "error") != "error":
        return
    for key, tokens in longest.items():
        room, special = _count(block, key), 2 if key == "length" else 1
        if room and room < tokens + special:
            what = "example" if key == "length" else key
            yield document.diagnostic(
                "XG105",
                ("block", key),
                f"{room} is too short: the longest {what} has {tokens} tokens, "
                f"and {special} special",
                f"at least {tokens + special}",
            )


def _count(mapping: dict[str, Any], key: str) -> int:
    """The value of a key where it is a positive integer, else 0."""
    value = mapping.get(key)
    return value if isinstance(value, int) and value > 0 and value is not True else 0
