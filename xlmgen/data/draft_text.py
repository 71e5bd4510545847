"""Text of a drafted task, with comments that explain every choice."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xlmgen.data.draft import SPECIAL, Draft
from xlmgen.data.readers import FORMS
from xlmgen.data.text_files import ending
from xlmgen.render.environment import environment
from xlmgen.spec.modeline import modeline, project_schema
from xlmgen.spec.project import BUILT_IN
from xlmgen.spec.scalars import resolve
from xlmgen.terminal.escape import terminal

TEMPLATE = "task/task.yaml.jinja"
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
NAMED = {"prompt": "BOS", "answer": "EOS", "length": "BOS and EOS"}
MOST_NAMES = 12  # columns listed in a comment
SHORT = 60  # characters of a name in a comment


def task_yaml(draft: Draft, out: Path) -> str:
    """Text of a task's YAML file.

    Args:
        draft: the choices.
        out: the file, for the path of its schema.
    """
    head, parts = draft.head, draft.parts
    schema = project_schema(out, "task")
    special = {
        key: f"{NAMED[key]} {longest.longest + SPECIAL[key]}"
        for key, longest in draft.lengths.items()
    }
    return (
        environment(BUILT_IN.templates)
        .get_template(TEMPLATE)
        .render(
            draft=draft,
            schema=modeline(schema) if schema else "",
            name=scalar(draft.name),
            rows=_rows(draft),
            file_comment=_comment(head.path.name),
            file=scalar(draft.file),
            percent=f"{100 * draft.share:g}",
            special=special,
            max_length=mapping({k: v.limit for k, v in draft.lengths.items()}),
            format="" if ending(head.path) in FORMS else head.how.form,
            delimiter=scalar(head.how.delimiter) if head.how.delimiter else "",
            columns=mapping(draft.columns) if draft.columns else "",
            templates=mapping(draft.templates) if draft.templates else "",
            hole=scalar(parts.hole) if parts.hole else "",
            given=_comment(parts.columns["given"].name) if parts.hole else "",
            others=_listed(draft.others),
            tokenizer=mapping(draft.tokenizer),
            num_words=draft.num_words,
            rare=_comment(repr(draft.rare)),
        )
    )


def scalar(value: Any) -> str:
    """Write a value in a flow mapping of YAML, quoted unless it is a plain word."""
    import yaml

    if not isinstance(value, str):
        return str(value)
    if WORD.fullmatch(value) and resolve(value) == value:
        return value
    shown = terminal(value) == value
    dumped: str = yaml.safe_dump(
        value, default_style='"', allow_unicode=shown, width=len(value) * 10 + 80
    )
    return dumped.strip()


def mapping(values: Mapping[str, Any]) -> str:
    """Write a mapping in the flow style of YAML."""
    return "{" + ", ".join(f"{k}: {_value(v)}" for k, v in values.items()) + "}"


def _value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(scalar, value))}]"
    return scalar(value)


def _rows(draft: Draft) -> str:
    number = len(draft.head.rows)
    return f"{number:,} rows" if draft.head.complete else f"the first {number:,} rows"


def _comment(text: str) -> str:
    """Show a text in a comment, on its line."""
    shown = terminal(text)
    return shown if len(shown) <= SHORT else shown[: SHORT - 1] + "…"


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(_comment, names[:MOST_NAMES]))
    return shown + (", …" if len(names) > MOST_NAMES else "")
