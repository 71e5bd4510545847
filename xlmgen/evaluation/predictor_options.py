"""`predictor.key=value` overrides of a run, validated against its family's schema.

Nothing here imports torch, so a mistake is reported before torch is imported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from xlmgen.errors import UserError
from xlmgen.experiment.overrides import parse_override
from xlmgen.registry import SPEC
from xlmgen.runs.run import Run
from xlmgen.spec.diagnostics import SpecError, errors
from xlmgen.spec.document import Document
from xlmgen.spec.load import load_yaml
from xlmgen.spec.messages import show
from xlmgen.spec.validate import validate


def check_predictor(run: Run, overrides: Sequence[str]) -> None:
    """Validate overrides of a run's predictor.

    Raises:
        UserError: the family's schema has no such option or value.
    """
    document = load_yaml(run.family_folder / SPEC)
    changed_predictor(
        document, {**run.experiment.predictor, **predictor_options(overrides)}
    )


def predictor_options(overrides: Sequence[str]) -> dict[str, Any]:
    """Read `predictor.key=value` overrides.

    Raises:
        UserError: an override has another form.
    """
    options: dict[str, Any] = {}
    for text in overrides:
        override = parse_override(text)
        if len(override.path) != 2 or override.path[0] != "predictor":
            raise UserError(
                f"{show(text)} cannot be changed in an existing run",
                "only predictor.KEY=VALUE can, for example predictor.temperature=0.5",
            )
        options[override.path[1]] = override.value
    return options


def changed_predictor(document: Document, options: Mapping[str, Any]) -> Document:
    """The family's document with changed predictor options, validated.

    Raises:
        SpecError: the family's own YAML has problems.
        UserError: its schema has no such option or value.
    """
    if problems := errors(validate(document, "family")):
        raise SpecError(problems)
    data: dict[str, Any] = deepcopy(document.data or {})
    own, other = data["predictor"]["kind"], options.get("kind")
    if other not in (None, own):
        raise UserError(
            f"predictor.kind: {show(other)} differs from this run's kind, '{own}'",
            f"only its options can change; `xlmgen explain predictor.{own}` lists them",
        )
    data["predictor"] |= options
    changed = replace(document, data=data)
    for problem in errors(validate(changed, "family")):
        raise UserError(f"{problem.path}: {problem.message}", problem.fix)
    return changed
