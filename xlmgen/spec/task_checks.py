"""Checks of a task's spec that JSON Schema cannot express."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from xlmgen.io.json_schema import is_number
from xlmgen.spec import generators
from xlmgen.spec.defaults import fill_defaults
from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document
from xlmgen.spec.hooks import HOOK, function_name
from xlmgen.spec.messages import show
from xlmgen.spec.schemas import built_in, satisfies
from xlmgen.spec.template import Template

SOURCES = ("generator", HOOK, "corpus", "files", "hub")
ALREADY = (
    *("row", "prompt", "prediction", "completed", "target", "correct", "order"),
    "loss",
)
"""Other columns of result files: no metric can have these names."""
ONE_TOKEN_PER_WORD = ("vocabulary", "whitespace")


def check(document: Document) -> Iterator[Diagnostic]:
    """Problems of a task's document; values of the wrong type are skipped."""
    data = document.data or {}
    yield from _own_metrics(document, data.get("metrics"))
    source = data.get("source")
    if not isinstance(source, dict) or sum(key in source for key in SOURCES) > 1:
        return
    layout, name = data.get("layout"), source.get("generator")
    if name is None or name in generators.generators():
        yield from _metrics(document, data.get("metrics"), name)
    if name is not None:
        yield from _generator(document, name, source)
        return
    if source.get("format") == "txt" and layout in ("seq2seq", "infill"):
        yield document.diagnostic(
            "XG108",
            ("source", "format"),
            f"a .txt file has one text for each example, and '{layout}' needs two",
            "use jsonl, csv or parquet",
        )
    yield from _parts(document, source, layout)
    yield from _filter(document, source.get("filter"))
    yield from _splits(document, source)


PARTS = {
    "lm": ("tokens",),
    "seq2seq": ("prompt", "target"),
    "infill": ("tokens", "given"),
}
USUAL = {"tokens": "text", "given": "given", "prompt": "prompt", "target": "target"}
"""Default columns; a run's task.yaml has all of them written out."""


def _parts(
    document: Document, source: dict[str, Any], layout: Any
) -> Iterator[Diagnostic]:
    """Check that columns and templates belong to the layout and do not overlap."""
    columns, templates = source.get("columns"), source.get("templates")
    columns = dict(columns) if isinstance(columns, dict) else {}
    columns = {key: name for key, name in columns.items() if USUAL.get(key) != name}
    templates = templates if isinstance(templates, dict) else {}
    wanted = PARTS.get(layout, ()) if isinstance(layout, str) else ()
    for name, given in (("columns", columns), ("templates", templates)):
        for key in given if wanted else ():
            if key in USUAL and key not in wanted:
                yield document.diagnostic(
                    "XG108",
                    ("source", name, key),
                    f"the layout '{layout}' has no {key}",
                    f"it has {' and '.join(wanted)}",
                    key=True,
                )
    for key, text in templates.items():
        place = ("source", "templates", key)
        if key in columns:
            yield document.diagnostic(
                "XG108",
                place,
                f"columns.{key} defines the {key} as well",
                "keep one of the two",
                key=True,
            )
        try:
            named = Template.parse(text).columns if isinstance(text, str) else ("",)
        except ValueError as error:
            yield document.diagnostic(
                "XG106",
                place,
                f"{show(text)} is not a template: {error}",
                "write {name} for a column, and {{ or }} for a brace",
            )
        else:
            if not named:
                yield document.diagnostic(
                    "XG106",
                    place,
                    f"{show(text)} names no column, so every {key} would be the same",
                    "write {name} for a column",
                )


def _filter(document: Document, conditions: Any) -> Iterator[Diagnostic]:
    for number, condition in enumerate(
        conditions if isinstance(conditions, list) else ()
    ):
        if not isinstance(condition, dict):
            continue
        place = ("source", "filter", number)
        pattern = condition.get("matches")
        try:
            re.compile(pattern if isinstance(pattern, str) else "")
        except re.error as error:
            yield document.diagnostic(
                "XG106",
                (*place, "matches"),
                f"{show(pattern)} is not a regular expression: {error}",
                "put a backslash before special characters",
            )
        for low, high in (("min", "max"), ("min_length", "max_length")):
            least, most = condition.get(low), condition.get(high)
            if is_number(least) and is_number(most) and least > most:
                yield document.diagnostic(
                    "XG105",
                    (*place, high),
                    f"{most:g} is less than {low} {least:g}, so no row would be left",
                )


def _splits(document: Document, source: dict[str, Any]) -> Iterator[Diagnostic]:
    """Report limits of splits that are shares of train."""
    hub = source.get("hub")
    given = hub.get("splits", {}) if isinstance(hub, dict) else source.get("files")
    if not isinstance(given, dict):
        return
    where = "hub.splits" if isinstance(hub, dict) else "files"
    for split in ("validation", "test"):
        limit = source.get("limit")
        if isinstance(limit, dict) and split in limit and split not in given:
            yield document.diagnostic(
                "XG108",
                ("source", "limit", split),
                f"{split} is a share of train",
                f"change shares.{split}, or name it under source.{where}",
                key=True,
            )


def _metrics(document: Document, names: Any, generator: Any) -> Iterator[Diagnostic]:
    """Report metrics of other generators."""
    known = generators.metrics()
    for number, name in enumerate(names if isinstance(names, list) else ()):
        metric = known.get(name) if isinstance(name, str) else None
        if metric is None or metric.generator == generator:
            continue
        if generator is None and metric.files:
            continue
        title = str(generators.schema(metric.generator)["title"]).lower()
        yield document.diagnostic(
            "XG108", ("metrics", number), f"'{name}' is for {title} only"
        )


def _own_metrics(document: Document, metrics: Any) -> Iterator[Diagnostic]:
    """Report own metrics with the name of another metric or column."""
    items = built_in().schema("task")["properties"]["metrics"]["items"]
    taken = dict.fromkeys(items["oneOf"][0]["enum"], "a metric of xlmgen")
    taken |= dict.fromkeys(ALREADY, "another column of result files")
    for number, entry in enumerate(metrics if isinstance(metrics, list) else ()):
        target = entry.get(HOOK) if isinstance(entry, dict) else None
        if not isinstance(target, str):
            continue
        name = function_name(target)
        if name in taken:
            yield document.diagnostic(
                "XG108",
                ("metrics", number, HOOK),
                f"a metric has the name of its function, and '{name}' is the name of "
                f"{taken[name]}",
                "rename the function",
            )
        taken[name] = "another metric of this task"


def _generator(
    document: Document, name: Any, source: dict[str, Any]
) -> Iterator[Diagnostic]:
    if name not in generators.generators():
        return  # the schema reports it
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
        return  # the schema reports it
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
        yield from _max_length(document, shape.longest(settings))


def _vocabulary(
    document: Document, tokenizer: dict[str, Any], words: Iterable[str]
) -> Iterator[Diagnostic]:
    """Report words of the examples that a fixed vocabulary lacks."""
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


def _max_length(document: Document, longest: Mapping[str, int]) -> Iterator[Diagnostic]:
    """Report a `max_length` below the longest example, unless long ones are dropped."""
    data = document.data or {}
    max_length = data.get("max_length")
    if not isinstance(max_length, dict) or data.get("overflow", "error") != "error":
        return
    for key, tokens in longest.items():
        room, special = _count(max_length, key), 2 if key == "length" else 1
        if room and room < tokens + special:
            what = "example" if key == "length" else key
            yield document.diagnostic(
                "XG105",
                ("max_length", key),
                f"{room} is too short: the longest {what} has {tokens} tokens, "
                f"and {special} special",
                f"at least {tokens + special}",
            )


def _count(mapping: dict[str, Any], key: str) -> int:
    """Return the value of a key if it is a positive integer, else 0."""
    value = mapping.get(key)
    return value if isinstance(value, int) and value > 0 and value is not True else 0
