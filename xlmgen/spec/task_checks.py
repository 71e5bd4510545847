"""What a task's YAML must meet that JSON Schema cannot say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document


def check(document: Document) -> Iterator[Diagnostic]:
    """Problems of a task's document; values of the wrong type are passed over."""
    data = document.data or {}
    source = data.get("source")
    if not isinstance(source, dict):
        return
    layout = data.get("layout")
    if source.get("generator") == "star":
        yield from _star(document, source)
        if layout in ("lm", "infill"):
            yield document.diagnostic(
                "XG108",
                ("layout",),
                f"star graphs have a prompt and an answer, and '{layout}' has not",
                "write layout: seq2seq",
            )
    elif "generator" not in source:
        if layout in ("seq2seq", "infill"):
            yield from _star_metrics(document, data.get("metrics"))
        if source.get("format") == "txt" and layout in ("seq2seq", "infill"):
            yield document.diagnostic(
                "XG108",
                ("source", "format"),
                f"a .txt file has one text for each example, and '{layout}' needs two",
                "use jsonl, csv or parquet",
            )


def _star(document: Document, source: dict[str, Any]) -> Iterator[Diagnostic]:
    nodes = source.get("nodes")
    if not isinstance(nodes, dict):
        return
    low, high = _count(nodes, "min"), _count(nodes, "max")
    if low and high and high < low:
        yield document.diagnostic(
            "XG105", ("source", "nodes"), f"max {high} is less than min {low}"
        )
        return
    plan = _count(source, "plan")
    if low and plan >= low:
        yield document.diagnostic(
            "XG105",
            ("source", "plan"),
            f"{plan} edges do not fit behind the centre of an arm of {low} nodes",
            f"at most nodes.min - 1 = {low - 1}",
        )
    arms, vocabulary = _count(source, "arms"), _count(source, "vocabulary")
    if not (arms and high):
        return
    edges = arms * (high - 1)
    if vocabulary and vocabulary < edges + 1:
        yield document.diagnostic(
            "XG105",
            ("source", "vocabulary"),
            f"{vocabulary} names are too few for {arms} arms of up to {high} nodes",
            f"at least {edges + 1}",
        )
    yield from _star_tokenizer(document, vocabulary)
    yield from _star_block(document, prompt=2 * edges + 2, answer=2 * (high - 1))


def _star_tokenizer(document: Document, vocabulary: int) -> Iterator[Diagnostic]:
    tokenizer = (document.data or {}).get("tokenizer")
    numbers = _count(tokenizer, "range") if isinstance(tokenizer, dict) else 0
    if numbers and vocabulary > numbers:
        yield document.diagnostic(
            "XG105",
            ("tokenizer", "range"),
            f"{numbers} numbers are too few for {vocabulary} node names",
            f"write range: {vocabulary}",
        )


def _star_block(document: Document, prompt: int, answer: int) -> Iterator[Diagnostic]:
    data = document.data or {}
    block, tokenizer = data.get("block"), data.get("tokenizer")
    one_token_per_node = (
        isinstance(tokenizer, dict) and tokenizer.get("kind") == "vocabulary"
    )
    if not isinstance(block, dict) or not one_token_per_node:
        return
    if data.get("overflow", "error") != "error":
        return
    for key, tokens in (("prompt", prompt), ("answer", answer)):
        room = _count(block, key)
        if room and room < tokens + 1:
            yield document.diagnostic(
                "XG105",
                ("block", key),
                f"{room} is too short: the largest graph's {key} has {tokens} tokens "
                "and a special one",
                f"at least {tokens + 1}",
            )


def _star_metrics(document: Document, metrics: Any) -> Iterator[Diagnostic]:
    if isinstance(metrics, list) and "valid_path" in metrics:
        yield document.diagnostic(
            "XG108",
            ("metrics", metrics.index("valid_path")),
            "'valid_path' goes with star graphs only",
        )


def _count(mapping: dict[str, Any], key: str) -> int:
    """The value of a key where it is a positive integer, else 0."""
    value = mapping.get(key)
    return value if isinstance(value, int) and value > 0 and value is not True else 0
