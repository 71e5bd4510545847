"""Checks of a sweep that its schema cannot express."""

from __future__ import annotations

from collections.abc import Iterator

from xlmgen.spec.diagnostics import Diagnostic
from xlmgen.spec.document import Document


def check(document: Document) -> Iterator[Diagnostic]:
    """Find a sweep without experiments, and settings that it gives twice."""
    data = document.data or {}
    families, tasks = data.get("families"), data.get("tasks")
    for key, other in (("families", "tasks"), ("tasks", "families")):
        if data.get(key) and not data.get(other):
            message = f"'{key}' without '{other}'"
            fix = f"add {other}: every family is trained on every task"
            yield document.diagnostic("XG102", (key,), message, fix, key=True)
    if not (data.get("experiments") or families or tasks):
        message = "a sweep without experiments"
        fix = "list experiments, or families and tasks"
        yield document.diagnostic("XG102", (), message, fix, key=True)
    seed = "training.seed"
    for group in ("settings", "vary"):
        given = data.get(group)
        if not isinstance(given, dict):
            continue
        if seed in given:
            fix = "list the seeds under seeds"
            message = f"'{seed}' is not set here"
            yield document.diagnostic("XG108", (group, seed), message, fix, key=True)
        for key in given if group == "vary" else ():
            if isinstance(data.get("settings"), dict) and key in data["settings"]:
                message = f"'{key}' is given in settings too"
                fix = "remove one of them"
                yield document.diagnostic("XG108", (group, key), message, fix, key=True)
